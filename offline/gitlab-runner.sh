#!/bin/sh
# Stands in for GitLab Runner. Takes the words that the stack gives the real one.
verb=$1
for word; do case $word in --config=*) config=${word#--config=} ;; esac; done
echo "This is not GitLab Runner but a stand-in for it: it asks GitLab for nothing and runs no job."
if [ "$verb" != run ]; then
  echo "The stand-in can't $verb."
  exit 3
fi
for key in url token executor; do
  if ! grep -q "^$key = " "$config"; then
    echo "FATAL: $config can't be read, or has no $key" >&2
    exit 1
  fi
done
if ! grep -Eq '^[rs]_[0-9a-zA-Z]{12}$' "${config%/*}/.runner_system_id"; then
  echo "FATAL: no system id beside $config" >&2
  exit 1
fi
echo "config: $(grep '^concurrent = ' "$config"), $(grep '^executor = ' "$config"), user $(id -u)"
mkdir -p "$HOME/www" && : > "$HOME/www/metrics" || exit 1
httpd -f -p 9252 -h "$HOME/www" &
server=$!
trap 'echo "asked to stop, as the real one would be: no job runs"; kill $server; exit 0' QUIT TERM INT
wait $server
