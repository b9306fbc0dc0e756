# Builds and pushes by a daemon of which `reach` makes sure. The digest becomes the pod's termination message.
mkfifo progress
build() {
  reach
  tee log < progress >&2 &
  logger=$!
  result=0
  follow buildctl @flags@ build --frontend=dockerfile.v0 --progress=plain \
    --metadata-file=pushed.json "$@" 2> progress || result=$?
  wait "$logger"
  return "$result"
}
losses=@losses@ pushes=6
# What the client says when the daemon ended under it. The steps that were done are in its cache.
gone='^error: failed to (receive status|list workers)|code = (Unavailable|Canceled)|solve: (Unavailable|Canceled):'
# A registry that restarts to collect garbage is back within a minute.
away='failed to push .*(connection refused|no route to host|i/o timeout|503 Service)'
until build "$@"; do
  last=$(tail -n 1 log)
  if [ "$losses" -gt 0 ] && printf %s "$last" | grep -qE "$gone"; then
    losses=$((losses - 1))
    echo 'the BuildKit daemon went away; building again' >&2
  elif [ "$pushes" -gt 0 ] && printf %s "$last" | grep -qE "$away"; then
    pushes=$((pushes - 1))
    echo 'the registry is away; pushing again in 10 s' >&2
    follow sleep 10
  else
    exit "$result"
  fi
done
sed -n 's/.*"containerimage\.digest": *"\(sha256:[0-9a-f]*\)".*/\1/p' pushed.json > /dev/termination-log
