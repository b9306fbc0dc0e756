"""A temporary folder, and what has to be taken away with it whatever happens."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ops.toolchain import console

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def folder() -> Iterator[tuple[Path, contextlib.ExitStack]]:
    """Give a temporary folder, and where to add what is to be done before it is removed; the last is done first."""
    root = Path(tempfile.mkdtemp(prefix="ci-bench-"))
    steps = contextlib.ExitStack()  # each is done, even if one before it fails
    steps.callback(shutil.rmtree, root, ignore_errors=True)
    whole = False
    try:
        yield root, steps
        whole = True
    finally:
        # A second Ctrl-C must not leave anything behind.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if not whole:
            console.note("removing what the benchmark has made")
        with steps:
            pass
        signal.signal(signal.SIGINT, signal.default_int_handler)
