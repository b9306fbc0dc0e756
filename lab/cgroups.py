"""The lab's control groups: every process of the lab is in them, so that none is forgotten when it is taken down."""

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

from lab.layout import Layout

ROOT = Path("/sys/fs/cgroup")
BUSY_SECONDS = 5.0
"""How long a group may stay busy after its last process was killed: the kernel lets go of it a moment later."""


def hierarchies() -> list[Path]:
    """Every tree that a container's runtime makes groups in: one for each controller, or with version 2 one for all."""
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]
    return sorted({path.resolve() for path in ROOT.iterdir() if (path / "cgroup.procs").exists()})


def make(lab: Layout) -> None:
    """Make the lab's group in every tree: the kubelet does not start without."""
    for tree in hierarchies():
        (tree / lab.netns).mkdir(exist_ok=True)
    join_file(lab).parent.mkdir(exist_ok=True)


def join_file(lab: Layout) -> Path:
    """The file that the numbers of the lab's own programs are written to; one tree is enough to find them again."""
    return hierarchies()[0] / lab.netns / "programs" / "cgroup.procs"


def members(lab: Layout) -> list[int]:
    """Every process of the lab: its own programs, the pods' and what these have started."""
    found: set[int] = set()
    for group in _groups(lab):
        with contextlib.suppress(OSError):
            found.update(int(word) for word in (group / "cgroup.procs").read_text().split())
    found.discard(0)  # a process of another pid namespace than ours
    return sorted(found)


def remove(lab: Layout) -> None:
    """Remove the lab's groups, from the leaves up. They must be empty of processes.

    Raises OSError when one stays busy.
    """
    for group in _groups(lab):
        until = time.monotonic() + BUSY_SECONDS
        while group.exists():
            try:
                group.rmdir()
            except OSError as busy:
                if busy.errno != errno.EBUSY or time.monotonic() > until:
                    raise
                time.sleep(0.05)


def _groups(lab: Layout) -> Iterator[Path]:
    """The lab's groups in all trees, the innermost first."""
    for tree in hierarchies():
        for folder, _, _ in os.walk(tree / lab.netns, topdown=False):
            yield Path(folder)
