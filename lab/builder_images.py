"""What is in the lab's images that need more than one program: BuildKit without root, Buildah, and git with ssh."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from offline import programs as machine
from offline.archive import Entry

UID = 1000
"""The user of BuildKit's published image without root."""

_CORE = Path("/usr/lib/git-core")
_ID_MAPPERS = {"newuidmap": 7, "newgidmap": 6}
"""What gives a user more ids than his own, and the capability that each needs for it: CAP_SETUID, CAP_SETGID."""

_POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}\n'
"""Which images are taken: all of them, as in the published image. Buildah does nothing without such a file."""


def buildkit(programs: Mapping[str, Path]) -> tuple[Entry, ...]:
    """Every file beside a shell and its tools, laid out as the published image is.

    programs: buildctl, buildkitd, rootlesskit and runc by name. Raises OpsError when what maps ids is missing here.
    """
    mappers = machine.find(*_ID_MAPPERS, remedy="apt-get install uidmap")
    placed = {
        "/usr/bin/buildkit-runc": programs["runc"],
        **{f"/usr/bin/{name}": path for name, path in mappers.items()},
    }
    # Not setuid: as root without CAP_SYS_ADMIN they would not be let write another user's map.
    capabilities = {f"/usr/bin/{name}": number for name, number in _ID_MAPPERS.items()}
    return (
        *(Entry(f"/usr/bin/{name}", source=programs[name]) for name in ("buildctl", "buildkitd", "rootlesskit")),
        *(replace(entry, capability=capabilities.get(entry.path)) for entry in machine.entries(placed)),
        Entry("/etc/subuid", mode=0o644, content="user:100000:65536\n"),
        Entry("/etc/subgid", mode=0o644, content="user:100000:65536\n"),
        Entry("/home/user", owner=UID),
    )


def buildah() -> tuple[Entry, ...]:
    """Every file beside a shell and its tools: this machine's Buildah. Raises OpsError when this machine has none."""
    program = machine.find("buildah", remedy="apt-get install buildah")["buildah"]
    return (
        *machine.entries({"/usr/bin/buildah": program}),
        Entry("/etc/containers/policy.json", mode=0o644, content=_POLICY),
        Entry("/root"),
        Entry("/var/tmp", mode=0o1777),
    )


def git() -> tuple[Entry, ...]:
    """Every file beside a shell and its tools: this machine's git and ssh. Raises OpsError when it lacks one."""
    found = machine.find("git", "ssh", remedy="apt-get install git openssh-client")
    placed = {f"/usr/bin/{name}": path for name, path in found.items()}
    placed |= {str(_CORE / name): _CORE / name for name in ("git-remote-http", "git-remote-https")}
    # git looks for its own verbs here, and is all of them.
    return (*machine.entries(placed), Entry(str(_CORE / "git"), link="/usr/bin/git"), Entry("/root"))
