"""Programs of this machine as files of an image: each with the libraries that it loads."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from offline.archive import Entry
from ops.toolchain.console import OpsError

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


def libraries(program: Path) -> set[Path]:
    """Give what a program loads when it starts, its loader included, by the names that it asks for.

    A program that loads nothing gives nothing.
    """
    ldd = shutil.which("ldd") or "/usr/bin/ldd"
    done = subprocess.run([ldd, str(program)], capture_output=True, text=True, check=False)  # noqa: S603
    return {Path(path) for path in re.findall(r"(/\S+) \(0x", done.stdout)}


def entries(programs: dict[str, Path]) -> list[Entry]:
    """Give the files of an image: each program under a path of its own, and all their libraries.

    Args:
        programs: where each is in the image, and here.
    """
    needed = {library for program in programs.values() for library in libraries(program)}
    files = {**{str(library): library for library in needed}, **programs}
    return [Entry(path, source=source.resolve()) for path, source in sorted(files.items())]
