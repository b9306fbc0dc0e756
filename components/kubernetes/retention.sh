# Removes old tags from the registry's volume, while nobody can push. The collection behind it removes what has no tag.
# In doubt, nothing is removed. What is in use is in a file: when that was asked, then each image, as used_images.sh
# wrote it. Ends with 0 if the collection may follow, 4 if it may not remove images without a tag, and else with 1.
repositories=$DATA/docker/registry/v2/repositories blobs=$DATA/docker/registry/v2/blobs ends=0
if [ ! -d "$repositories" ]; then exit 0; fi

nothing() {
  echo "nothing is removed: $*"
  exit 1
}

now=$(date +%s)
tr ' ' '\n' < "$USED_FILE" > /tmp/used || nothing "it was never asked which images are in use"
asked=$(head -n 1 /tmp/used)
# The schedule asks, and restarts the registry right after. At any other start, nobody has asked.
if [ $((now - asked)) -gt 600 ] || [ $((asked - now)) -gt 600 ]; then
  nothing "which images are in use was asked $((now - asked)) s ago, and the schedule asks again"
fi
# Without any pattern, busybox' grep would find every line.
{ echo none; grep -oE 'sha256:[0-9a-f]{64}' /tmp/used; } > /tmp/digests

# Fails unless it is certain that nobody uses the tag.
may_go() {
  case $tag in *[!A-Za-z0-9_.-]*) return 1 ;; esac
  digest=$(cat "$link") || return 1
  hex=${digest#sha256:}
  manifest=$blobs/sha256/$(printf %.2s "$hex")/$hex/data
  echo "$hex  $manifest" | sha256sum -c > /dev/null 2>&1 || return 1
  # An index names the images of each platform. A runtime may also name an image by its configuration.
  grep -qFf /tmp/digests "$link" "$manifest"
  if [ $? != 1 ]; then return 1; fi
  grep -qE "(^|/)$repository:$tag\$" /tmp/used
  [ $? = 1 ]
}

# Finds the image that a tag names: sha256-DIGEST has its referrers, and sha256-DIGEST.sig, .att or .sbom its signature.
# Fails if the tag names none, or its own image.
of_another() {
  named=${tag#sha256-} named=${named%%.*}
  case $tag in sha256-*) ;; *) return 1 ;; esac
  case $named in *[!0-9a-f]*) return 1 ;; esac
  [ ${#named} = 64 ] && [ "$(cat "$link")" != "sha256:$named" ]
}

# An image that is used and has no tag gets one: it would be collected.
keep() {
  hex=${digest#sha256:}
  if [ ! -e "$folder/revisions/sha256/$hex/link" ]; then return 0; fi
  if grep -qsF "$digest" "$folder"/tags/*/current/link; then return 0; fi
  tag=$folder/tags/build-used-$(printf %.12s "$hex")
  mkdir -p "$tag/current" "$tag/index/sha256/$hex" || return 1
  printf %s "$digest" > "$tag/index/sha256/$hex/link" || return 1
  printf %s "$digest" > "$tag/current/new" && mv "$tag/current/new" "$tag/current/link"
}

find "$repositories" \( -name _layers -o -name _uploads \) -prune -o -type d -name _manifests -print -prune \
  > /tmp/folders || nothing "the repositories can't be listed"
while IFS= read -r folder; do
  repository=${folder#"$repositories/"} repository=${repository%/_manifests}
  if [ ! -d "$folder/tags" ]; then continue; fi
  # A tag's link is written at each push.
  find "$folder/tags" -mindepth 3 -maxdepth 3 -path '*/current/link' -exec stat -c '%Y %n' {} + | sort -rn > /tmp/tags
  counted=0
  while IFS=' ' read -r pushed link; do
    tag=${link#"$folder/tags/"} tag=${tag%/current/link}
    if of_another; then
      if [ -e "$folder/revisions/sha256/$named/link" ]; then continue; fi
    else
      counted=$((counted + 1))
      if [ "$counted" -le "$LAST_TAGS" ]; then continue; fi
    fi
    if [ "$pushed" -ge $((now - DAYS * 86400)) ] || ! may_go; then continue; fi
    echo "removes $repository:$tag, pushed $(((now - pushed) / 86400)) days ago"
    # The link last: a tag without it would never be looked at again.
    rm -rf "$folder/tags/$tag/index" && rm -rf "$folder/tags/$tag"
  done < /tmp/tags
done < /tmp/folders
while IFS= read -r folder; do
  while IFS= read -r digest; do
    if ! keep; then
      echo "images without a tag stay: $digest, which is used, could get none"
      ends=4
    fi
  done < /tmp/digests
done < /tmp/folders
exit "$ends"
