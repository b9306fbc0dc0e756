"""A file that a setting or a command names is opened if it is a regular one; anything else is refused at once."""

import os
from pathlib import Path

import pytest

from components import regular_file


def test_a_regular_file_is_opened_and_a_device_a_fifo_and_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"text")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("file", "link"):
        with regular_file.opened(tmp_path / name) as file:
            assert file.read() == b"text"
    for name in ("fifo", "zero", ".", "none"):
        with pytest.raises(OSError, match=r"not a regular file|Is a directory|No such"):
            regular_file.opened(tmp_path / name)
