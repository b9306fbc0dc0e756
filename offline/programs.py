"""Programs of this machine as files of an image: each with the libraries that it loads."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from offline.archive import Entry
from setup.console import OpsError

_ALSO = "/usr/sbin:/sbin:/usr/local/sbin"
"""Where programs for root are, on machines that leave these out of a user's PATH."""


def find(*names: str, remedy: str) -> dict[str, Path]:
    """Give the path of each program. Raises OpsError, with what to do, when one is missing."""
    path = f"{os.environ.get('PATH', '')}:{_ALSO}"
    found = {name: shutil.which(name, path=path) for name in names}
    missing = [name for name, where in found.items() if where is None]
    if missing:
        raise OpsError(f"This machine has no {' and no '.join(missing)}.", remedy)
    return {name: Path(where) for name, where in found.items() if where}


def libraries(program: Path, root: Path = Path("/")) -> dict[str, Path]:
    """Give what a program loads when it starts, its loader included: the files' paths in an image, and here.

    A program that loads nothing gives nothing.

    Args:
        program: its path.
        root: the root of the file system that it is of: this machine's, or one that was unpacked.
    """
    command: list[Path | str] = [shutil.which("ldd") or "/usr/bin/ldd"]
    if root != Path("/"):
        folders = {found.parent for name in ("libc.so.6", "libssl.so.*") for found in root.rglob(name)}
        [loader] = {found.resolve() for found in root.rglob("ld-linux*.so.*")}
        command = [loader, "--library-path", ":".join(map(str, sorted(folders))), "--list"]
    done = subprocess.run([*command, program], capture_output=True, text=True, check=False, timeout=30)  # noqa: S603
    found = re.findall(r"^\s*(?:(\S+) => )?(/\S+) \(0x", done.stdout, re.MULTILINE)
    # The loader is asked for by a path, the rest by name.
    return {name if name.startswith("/") else f"/{Path(path).relative_to(root)}": Path(path) for name, path in found}


def entries(programs: dict[str, Path]) -> list[Entry]:
    """Give the files of an image: each program under a path of its own, and all their libraries.

    Args:
        programs: where each is in the image, and here.
    """
    needed = {name: path for program in programs.values() for name, path in libraries(program).items()}
    files = {**needed, **programs}
    return [Entry(path, source=source.resolve()) for path, source in sorted(files.items())]
