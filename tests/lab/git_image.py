"""The lab's git image: this machine's git and ssh with the libraries they load, for what clones a build's context."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tools.offline.archive import Entry
from tools.toolchain.errors import Trouble

_CORE = Path("/usr/lib/git-core")
_TRANSPORTS = ("git-remote-http", "git-remote-https")


def entries() -> tuple[Entry, ...]:
    """Every file of it, beside a shell and its tools.

    Raises:
        Trouble: when this machine lacks git or ssh.
    """
    found = {name: shutil.which(name) for name in ("git", "ssh")}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise Trouble(f"This machine has no {' and no '.join(missing)}.", "apt-get install git openssh-client")
    programs = [Path(path) for path in found.values() if path] + [_CORE / name for name in _TRANSPORTS]
    files = {Path(f"/usr/bin/{program.name}") if program.parent != _CORE else program: program for program in programs}
    for program in programs:
        files |= {library: library for library in libraries(program)}
    return (
        *(Entry(str(place), source=source.resolve()) for place, source in sorted(files.items())),
        # git looks for its own verbs here, and is all of them.
        Entry(str(_CORE / "git"), link="/usr/bin/git"),
        Entry("/root"),
    )


def libraries(program: Path) -> set[Path]:
    """Give what a program loads when it starts, its loader included, by the names that it asks for."""
    done = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True)
    return {Path(path) for path in re.findall(r"(/\S+) \(0x", done.stdout)}
