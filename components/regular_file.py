"""Opens the files that a setting or a command names. Imported by `components/` and `ops/`."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

LARGEST: Final = 4 * 1024 * 1024
"""Bytes of a file that is read whole. A bundle of all public authorities has 220 KB, a kubeconfig 5 KB a cluster."""


def opened(path: str | Path) -> BinaryIO:
    """Open a regular file, to read its bytes. `~` is the user's home. Raise OSError for anything else.

    A FIFO would wait for its writer for ever, and a device such as /dev/zero never ends.
    """
    place = Path(path).expanduser()
    file = open(place, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", str(place))
    return file


def read(path: str | Path, *, largest: int = LARGEST) -> bytes:
    """Return the content of a regular file of at most so many bytes. Raise OSError for anything else."""
    with opened(path) as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise OSError(errno.EFBIG, f"larger than {largest // 1024} KiB", str(path))
    return content
