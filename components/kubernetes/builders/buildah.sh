mkdir none
printf '%s' "$REGISTRIES" > registries.conf
# Some kernels forbid overlay mounts in a user namespace. The driver vfs copies whole file systems: slow, but works.
for driver in overlay vfs; do
  printf '[storage]\ndriver = "%s"\ngraphroot = "%s"\nrunroot = "%s"\n'     "$driver" "$TMPDIR/$driver" "$TMPDIR/run" > "$CONTAINERS_STORAGE_CONF"
  if buildah info > /dev/null 2>&1; then break; fi
done
echo "storage driver: $driver"
run() { follow buildah --registries-conf=registries.conf --registries-conf-dir=none "$@"; }
run build --tag=ci-build "$@"
for destination in $DESTINATIONS; do
  # A registry that restarts to collect garbage is back within a minute.
  run push --digestfile=digest --retry=6 --retry-delay=10s localhost/ci-build "docker://$destination"
  # The digest in the output `images` must be the same under every tag.
  if [ -e first ] && ! cmp -s first digest; then
    echo "$destination has the digest $(cat digest), but the first destination has $(cat first)"
    exit 1
  fi
  [ -e first ] || cp digest first
done
cat first > /dev/termination-log
