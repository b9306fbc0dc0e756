"""What stands in for GitLab Runner's image where it can't be pulled: it starts, checks its files and runs no job.

A stack with a runner can be deployed with it, changed and taken down, and no more. It says so in its log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tools.offline import archive, binaries, images
from tools.toolchain import cache

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IMAGE: Final = "ci-offline-gitlab-runner:1"
PORT: Final = 9252

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
httpd -f -p {PORT} -h "$HOME/www" &
server=$!
trap 'echo "asked to stop, as the real one would be: no job runs"; kill $server; exit 0' QUIT TERM INT
wait $server
"""

CONFIG: Final[dict[str, Any]] = {
    "Entrypoint": ["/usr/bin/gitlab-runner"],
    "Env": [images.PATH],
    "Labels": {images.STAND_IN: "GitLab Runner, on networks where its image can't be pulled; it runs no jobs"},
    # The real one's: it stops when its jobs have ended.
    "StopSignal": "SIGQUIT",
    "Volumes": {"/etc/gitlab-runner": {}, "/home/gitlab-runner": {}},
}


def entries(busybox: Path) -> Iterator[archive.Entry]:
    """The image's file system."""
    yield from images.userland(busybox)
    yield archive.Entry("/usr/bin/gitlab-runner", content=_PROGRAM)
    # As in the real image on Ubuntu: its user's, and the stack runs it as another.
    yield archive.Entry("/home/gitlab-runner", mode=0o750, owner=999)


def ensure(host: str) -> str:
    """Make sure that an engine holds the image of this version of the project. Returns its name.

    Raises:
        Trouble: when it can't be made or put there.
    """
    from tools.offline import engine  # noqa: PLC0415  # 0.35 s, and only where there is something to do

    inputs = cache.digest(binaries.architecture(), _PROGRAM)
    if (engine.inspect(host, IMAGE).get("Config") or {}).get("Labels", {}).get(images.INPUTS) != inputs:
        config = {**CONFIG, "Labels": {**CONFIG["Labels"], images.INPUTS: inputs}}
        engine.load(host, IMAGE, list(entries(binaries.busybox())), config)
    return IMAGE
