"""Opens the files that a setting or a command names. Imported by `components/` and `ops/`."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


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
