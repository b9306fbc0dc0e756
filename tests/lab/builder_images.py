"""The lab's images of the builders that need more than one program: BuildKit without root, and Buildah."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.offline.archive import Entry
from tools.offline.programs import libraries
from tools.toolchain.errors import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

UID = 1000
"""The user of BuildKit's published image without root."""

_HOME = "/home/user"
_ID_MAPPERS = {"newuidmap": 7, "newgidmap": 6}
"""What gives a user more ids than his own, and the capability that each needs for it: CAP_SETUID, CAP_SETGID."""

_POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}\n'
"""Which images are taken: all of them, as in the published image. Buildah does nothing without such a file."""


def buildkit(programs: Mapping[str, Path]) -> tuple[tuple[Entry, ...], Mapping[str, Any]]:
    """Every file beside a shell and its tools, and the configuration: laid out as the published image is.

    Args:
        programs: buildctl, buildkitd and rootlesskit by name.

    Raises:
        Trouble: when this machine lacks runc or what maps ids.
    """
    mappers = {name: _program(name, "uidmap") for name in _ID_MAPPERS}
    runc = _program("runc", "runc")
    entries = (
        *(Entry(f"/usr/bin/{name}", source=programs[name]) for name in ("buildctl", "buildkitd", "rootlesskit")),
        Entry("/usr/bin/buildkit-runc", source=runc),
        # Not setuid: as root without CAP_SYS_ADMIN they would not be let write another user's map.
        *(
            Entry(f"/usr/bin/{name}", source=path, capability=_ID_MAPPERS[name])
            for name, path in sorted(mappers.items())
        ),
        *_libraries(runc, *mappers.values()),
        Entry("/etc/subuid", mode=0o644, content="user:100000:65536\n"),
        Entry("/etc/subgid", mode=0o644, content="user:100000:65536\n"),
        Entry(_HOME, owner=UID),
    )
    env = [f"HOME={_HOME}", "USER=user", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    return entries, {"Entrypoint": ["rootlesskit", "buildkitd"], "User": f"{UID}:{UID}", "Env": env}


def buildah() -> tuple[tuple[Entry, ...], Mapping[str, Any]]:
    """Every file beside a shell and its tools, and the configuration: this machine's Buildah.

    Raises:
        Trouble: when this machine has none.
    """
    program = _program("buildah", "buildah")
    entries = (
        Entry("/usr/bin/buildah", source=program),
        *_libraries(program),
        Entry("/etc/containers/policy.json", mode=0o644, content=_POLICY),
        Entry("/root"),
        Entry("/var/tmp", mode=0o1777),
    )
    return entries, {"Cmd": ["/bin/sh"], "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}


def _libraries(*programs: Path) -> Iterable[Entry]:
    found = set().union(*(libraries(program) for program in programs))
    return [Entry(str(path), source=path.resolve()) for path in sorted(found)]


def _program(name: str, package: str) -> Path:
    found = shutil.which(name, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    if found is None:
        raise Trouble(f"This machine has no {name}.", f"apt-get install {package}")
    return Path(found)
