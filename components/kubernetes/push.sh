# Watches the branches of every build and creates a Job for each new commit. It keeps nothing: the Jobs are its memory.
# A folder of /watch is one build: `settings` has shell variables, `job` a Job on two lines, the first with @places@.
set -u
export HOME=/tmp GIT_TERMINAL_PROMPT=0
jobs=http://127.0.0.1:$PROXY_PORT/apis/batch/v1/namespaces/$NAMESPACE/jobs
# After a failure, and while a branch waits, the next look is in so many seconds at the most.
soon=60
ended='"type": *"(Complete|Failed)", *"status": *"True"'
trap 'exit 143' TERM

# The credential helper reads the token from its file, so it is in no process's arguments.
helper='!f() { echo "username=$GIT_USER"; echo "password=$(cat /secrets/git/token)"; }; f'
# The key belongs to root, so ssh accepts that this user's group may read it.
options='-o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o BatchMode=yes'
# Some `timeout`s end git alone. Without these, ssh would then wait for a silent host for ever.
options="$options -o ConnectTimeout=30 -o ServerAliveInterval=15"
export GIT_SSH_COMMAND="ssh -i /secrets/git/key $options -o UserKnownHostsFile=\$KNOWN_HOSTS_FILE"
if [ -e /trust/ca.crt ]; then
  cat /etc/ssl/certs/ca-certificates.crt /trust/ca.crt > /tmp/ca.crt
  export GIT_SSL_CAINFO=/tmp/ca.crt
fi

say() { echo "build $build: $*"; }

# Notes when this build's loop comes by again: in so many seconds, and those that two questions take at most. The
# liveness probe compares it with the clock.
due() { echo "$(($(date +%s) + $1 + 150))" > "$work/due"; }

# Waits for so many seconds, or until `listen` writes into the pipe. What it wrote before is still there.
pause() {
  due "$1"
  timeout "$1" dd bs=4096 count=1 <&3 > /dev/null 2>&1 &
  # A shell may say that `timeout` ended the job.
  wait $! 2> /dev/null
}

# By default, the API server answers this client with spaces for people.
api() {
  if timeout 30 wget -q -U push "$@" 2> "$work/said"; then return 0; fi
  echo "the API server refuses: $(head -n 1 "$work/said")" > "$work/reason"
  return 1
}

# Counts the Jobs with these labels that have not ended.
count() {
  api -O "$work/found" "$jobs?labelSelector=$1" || return 1
  there=$(grep -oE '"metadata": *\{"name": *"' "$work/found" | wc -l)
  over=$(grep -oE "$ended" "$work/found" | wc -l)
  running=$((there - over))
}

# Creates the Job of a branch's commit, unless there is or was one. Fails if that could not be done.
start() {
  commit=$2
  due 0
  short=$(printf %.12s "$commit")
  branch=$(printf %s "$1" | sha256sum | cut -c 1-12)
  # A tag has no '/'. The registry's own tags begin with build-, signatures' with sha256-, and a commit's has 12 digits.
  # A changed name gets a hash, so that no two branches have one tag, and two dots, which git lets no branch have, so that none is named like
  # that.
  tag=$(printf %s "$1" | tr -c 'A-Za-z0-9_.-' - | sed -E 's/^(build-|sha(256|512)-|[0-9a-f]{12}$)/_&/; s/^[.-]/_/' | cut -c 1-128)
  if [ "$tag" != "$1" ]; then tag=$(printf %.114s "$tag")..$branch; fi
  # A change of the stack that decides the image builds the branches' heads again.
  name=$build-$short-$(echo "$DECIDES $branch $commit" | sha256sum | cut -c 1-12)
  sed "1s/@name@/$name/g; 1s/@commit@/$commit/g; 1s/@short@/$short/g; 1s/@tag@/$tag/g; 1s/@branch@/$branch/g" \
    "$folder/job" > "$work/job"
  # Old Jobs are removed. Without this, the Job of a branch that rests would come back with each look.
  if grep -qxF "$name" "$work/seen"; then return 0; fi
  count "$BUILD_LABEL%3D$build,$BRANCH_LABEL%3D$branch" || return 1
  if grep -qE "\"metadata\": *\{\"name\": *\"$name\"" "$work/found"; then
    echo "$name" >> "$work/seen"
    return 0
  fi
  # A branch's builds run one after another, so that an older one can't take the tag from a newer one.
  most=1
  if [ "$running" = 0 ] && [ -n "$AT_MOST" ]; then
    # The quota has room for so many. A Job without room gets no pod, and its deadline passes.
    count "$BUILD_LABEL%3D$build,$BRANCH_LABEL" || return 1
    most=$AT_MOST
  fi
  if [ "$running" -ge "$most" ]; then
    waiting=1
    if grep -qxF "$name" "$work/waits"; then return 0; fi
    echo "$name" >> "$work/waits"
    say "commit $short of $tag waits for the builds before it"
    return 0
  fi
  api -O "$work/made" --header 'Content-Type: application/json' --post-file "$work/job" "$jobs" || return 1
  echo "$name" >> "$work/seen"
  say "commit $short of $tag: started Job $name"
}

look() {
  set -- -c http.lowSpeedLimit=1 -c http.lowSpeedTime=30
  # For this host alone: git would give the token to each one that asks for it, as where a redirect leads.
  host=$(echo "$REPOSITORY" | cut -d / -f 1-3)
  if [ -n "$TOKEN" ]; then set -- "$@" -c "credential.$host.helper=$helper"; fi
  timeout 60 git "$@" ls-remote --heads "$REPOSITORY" > "$work/heads" 2> "$work/reason" || {
    [ -s "$work/reason" ] || echo 'the git host gave no answer within a minute' > "$work/reason"
    return 1
  }
  result=0 waiting=0
  while read -r commit ref; do
    branch=${ref#refs/heads/}
    # A pattern's * matches '/' too.
    # shellcheck disable=SC2254
    case $branch in $BRANCH) ;; *) continue ;; esac
    if printf %s "$commit" | grep -qE '^[0-9a-f]{40}$'; then start "$branch" "$commit" || result=1; fi
  done < "$work/heads"
  return "$result"
}

watch() {
  folder=$1 build=$(basename "$1") work=/tmp/$(basename "$1") delay=0
  mkdir -p "$work"
  touch "$work/seen" "$work/waits"
  [ -p "$work/pipe" ] || mkfifo "$work/pipe"
  exec 3<> "$work/pipe"
  . "$folder/settings"
  export GIT_USER KNOWN_HOSTS_FILE="$folder/known_hosts"
  soon=$((SECONDS_BETWEEN < soon ? SECONDS_BETWEEN : soon))
  say "watches $BRANCH of $REPOSITORY every $SECONDS_BETWEEN s"
  while true; do
    due 0
    if look; then
      if [ "$delay" != 0 ]; then say "works again"; fi
      delay=0
      pause $((waiting ? soon : SECONDS_BETWEEN))
    else
      # Twice as long each time, up to a quarter of an hour.
      delay=$((delay == 0 ? soon : delay * 2))
      delay=$((delay > 900 ? 900 : delay))
      say "can't look or start; again in $delay s: $(grep -vE '^(\*\* |[Ww]arning: )' "$work/reason" | head -n 1)"
      pause "$delay"
    fi
  done
}

# Ends every pause when the receiver was called again; at most every five seconds, whoever repeats a call.
listen() {
  last=
  while true; do
    call=$(timeout 5 wget -q -O - "http://127.0.0.1:$CALLS_PORT/" 2> /dev/null)
    if [ "$call" != "$last" ]; then
      last=$call
      for pipe in /tmp/*/pipe; do echo > "$pipe"; done
      sleep 4
    fi
    sleep 1
  done
}

tries=0
until timeout 5 wget -q -O /dev/null "$jobs?limit=1" 2> /tmp/said; do
  tries=$((tries + 1))
  # The proxy is there after some seconds.
  if [ "$((tries % 15))" = 0 ]; then
    for each in /watch/*/; do
      build=$(basename "$each")
      say "can't look or start: the API server refuses: $(head -n 1 /tmp/said)"
    done
  fi
  sleep 1
done
rm -f /tmp/*/due
for each in /watch/*/; do watch "${each%/}" & done
if [ -n "${CALLS_PORT:-}" ]; then listen & fi
wait
