"""The image that stands in for GitLab Runner: it starts, checks its files and runs no job.

A stack with a runner can be deployed with it, changed and taken down, and no more. It says so in its log.
"""

from pathlib import Path
from typing import Any, Final

from offline import archive

_PORT: Final = 9252

_PROGRAM: Final = f"""\
#!/bin/sh
# Stands in for GitLab Runner. Takes the words that the stack gives the real one.
verb=$1
for word; do case $word in --config=*) config=${{word#--config=}} ;; esac; done
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
if ! grep -Eq '^[rs]_[0-9a-zA-Z]{{12}}$' "${{config%/*}}/.runner_system_id"; then
  echo "FATAL: no system id beside $config" >&2
  exit 1
fi
echo "config: $(grep '^concurrent = ' "$config"), $(grep '^executor = ' "$config"), user $(id -u)"
mkdir -p "$HOME/www" && : > "$HOME/www/metrics" || exit 1
httpd -f -p {_PORT} -h "$HOME/www" &
server=$!
trap 'echo "asked to stop, as the real one would be: no job runs"; kill $server; exit 0' QUIT TERM INT
wait $server
"""


def sources() -> list[Path]:
    """The project's own file that decides the image."""
    return [Path(__file__).resolve()]


def entries() -> list[archive.Entry]:
    """Every file of it, beside a shell and its tools."""
    return [
        archive.Entry("/usr/bin/gitlab-runner", content=_PROGRAM),
        # As in the real image on Ubuntu: its user's, and the stack runs it as another.
        archive.Entry("/home/gitlab-runner", mode=0o750, owner=999),
    ]


def config(labels: dict[str, str], path: str) -> dict[str, Any]:
    """The runtime part of the image's configuration, as the official image has it."""
    return {
        "Entrypoint": ["/usr/bin/gitlab-runner"],
        "Env": [path],
        "Labels": labels,
        # It stops when its jobs have ended.
        "StopSignal": "SIGQUIT",
        "Volumes": {"/etc/gitlab-runner": {}, "/home/gitlab-runner": {}},
    }
