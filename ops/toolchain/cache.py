"""The user's cache: an entry is named after the hash of its pins, is whole or absent, and is made by one at a time."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ops.toolchain import console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

APP = "pulumi-container-ci"


def root() -> Path:
    """The folder of all entries: `$XDG_CACHE_HOME/pulumi-container-ci`, by default under `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG rules say that a relative path is to be ignored.
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / APP


def digest(*parts: str | bytes | Path) -> str:
    """The first 12 hex digits of the SHA-256 over texts and files' contents, each with its length before it."""
    total = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part.encode() if isinstance(part, str) else part
        total.update(b"%d:" % len(data) + data)
    return total.hexdigest()[:12]


@contextlib.contextmanager
def locked(path: Path, waiting_for: str) -> Iterator[None]:
    """Hold a lock file; the kernel frees it when the process ends, however it ends.

    Args:
        path: the lock file. Made if absent and never removed: removing it would let two processes hold "the" lock.
        waiting_for: what the other process is doing, for the line that is shown when there is a wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.note(f"another process is at it ({waiting_for}); waiting for it to end")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def entry(what: str, key: str) -> Path:
    """Where the entry `what` of the pins' hash `key` is, whether it exists or not."""
    return root() / f"{what}-{key}"


def make(what: str, key: str, build: Callable[[Path], None], *, waiting_for: str) -> Path:
    """The entry, built first if it is absent.

    Args:
        what: the entry's name.
        key: the hash of all that decides its content, from `digest`.
        build: fills an empty folder given to it. Whatever it raises leaves no entry behind.
        waiting_for: said while another process builds the same entry.

    Returns:
        The finished folder. It carries another name while it is built: what must know its own path takes `entry`.
    """
    made = entry(what, key)
    if made.is_dir():
        return made
    with locked(root() / f"{what}-{key}.lock", waiting_for):
        if made.is_dir():
            return made
        for leftover in root().glob(f"{what}-{key}.part-*"):  # of a build that was killed; we hold the lock
            shutil.rmtree(leftover, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=f"{what}-{key}.part-", dir=root()))
        try:
            build(part)
            part.chmod(0o755)
            part.rename(made)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    return made


WHOLE = ".whole"
"""The file that says that an entry built in its final place is finished."""


def make_in_place(what: str, key: str, build: Callable[[Path], None], *, waiting_for: str) -> Path:
    """As `make`, for what writes its own path into itself and so can't be renamed when it is finished."""
    made = entry(what, key)
    if whole(made):
        return made
    with locked(root() / f"{what}-{key}.lock", waiting_for):
        if not whole(made):
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
            build(made)
            write(made / WHOLE, "")
    return made


def whole(made: Path) -> bool:
    """Whether an entry of `make_in_place` is finished."""
    return (made / WHOLE).exists()


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file's text in one step, so that a reader or a killed writer never leaves half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as out:
            os.fchmod(out.fileno(), mode)
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise
