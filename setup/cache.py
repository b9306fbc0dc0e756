"""The user's cache: an entry is named after the hash of its pins, is whole or absent, and is made by one at a time."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from setup import console

APP = "pulumi-container-ci"


def root() -> Path:
    """The folder of all entries: `$XDG_CACHE_HOME/pulumi-container-ci`, by default under `~/.cache`."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG rules say that a relative path is to be ignored.
    return (base if base.is_absolute() else Path.home() / ".cache") / APP


def digest(*parts: str | Path) -> str:
    """The first 12 hex digits of the SHA-256 over texts and files' contents, each with its length before it."""
    total = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part.encode()
        total.update(b"%d:" % len(data) + data)
    return total.hexdigest()[:12]


@contextlib.contextmanager
def locked(path: Path, waiting_for: str) -> Iterator[None]:
    """Hold a lock file, and say what is waited for if there is a wait. The kernel frees it when the process ends.

    The file is never removed: removing it would let two processes hold "the" lock.
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


def whole(made: Path) -> bool:
    """Whether an entry is there and finished."""
    return made.is_dir() and not _unfinished(made).exists()  # in this order: the mark is there before the folder


def _unfinished(made: Path) -> Path:
    return made.with_name(f"{made.name}.part")


def make(what: str, key: str, build: Callable[[Path], None], *, waiting_for: str) -> Path:
    """The entry's folder. `build` fills it first, if it is not whole; what it raises leaves no entry behind."""
    made = entry(what, key)
    if whole(made):
        return made
    with locked(made.with_name(f"{made.name}.lock"), waiting_for):
        if not whole(made):
            _unfinished(made).touch()
            shutil.rmtree(made, ignore_errors=True)  # of a build that was killed
            made.mkdir()
            try:
                build(made)
            except BaseException:
                shutil.rmtree(made, ignore_errors=True)
                raise
            _unfinished(made).unlink()
    return made


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file's text in one step, so that a reader or a killed writer never leaves half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as out:
            os.fchmod(handle, mode)
            out.write(text)
            out.flush()
            os.fsync(handle)
        Path(name).replace(path)
    except BaseException as failed:
        Path(name).unlink()
        if isinstance(failed, OSError):
            failed.filename = str(path)  # a full disk is told with the file
        raise
