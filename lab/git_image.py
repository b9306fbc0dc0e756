"""The lab's git image: this machine's git and ssh with the libraries they load, for what clones a build's context."""

from pathlib import Path

from offline import programs
from offline.archive import Entry

_CORE = Path("/usr/lib/git-core")
_TRANSPORTS = ("git-remote-http", "git-remote-https")


def entries() -> tuple[Entry, ...]:
    """Every file of it, beside a shell and its tools.

    Raises:
        OpsError: when this machine lacks git or ssh.
    """
    found = programs.find("git", "ssh", remedy="apt-get install git openssh-client")
    placed = {f"/usr/bin/{name}": path for name, path in found.items()}
    placed |= {str(_CORE / name): _CORE / name for name in _TRANSPORTS}
    return (
        *programs.entries(placed),
        # git looks for its own verbs here, and is all of them.
        Entry(str(_CORE / "git"), link="/usr/bin/git"),
        Entry("/root"),
    )
