"""Reads what the kernel's control groups count, in version 1 and in version 2."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path("/sys/fs/cgroup")
_ANONYMOUS: Final = ("total_rss ", "anon ")
"""The line of memory.stat that counts all but page cache. Source: the kernel's cgroup-v1/memory.rst, cgroup-v2.rst."""


def memory() -> Path:
    """Give the tree that counts memory."""
    return ROOT / "memory" if (ROOT / "memory").is_dir() else ROOT


def cpu() -> Path:
    """Give the tree that counts processor time."""
    return ROOT / "cpuacct" if (ROOT / "cpuacct").is_dir() else ROOT


def cpu_seconds(group: Path) -> float:
    """Give the processor time of a group and of all that are or were below it; 0 where there is no such group."""
    try:
        if (group / "cpuacct.usage").exists():
            return int(read(group / "cpuacct.usage")) / 1e9
        [line] = [line for line in read(group / "cpu.stat").splitlines() if line.startswith("usage_usec ")]
        return int(line.split()[1]) / 1e6
    except (OSError, ValueError):
        return 0.0


def anonymous(stat: str) -> int:
    """Give the bytes that are no page cache, from the text of a group's memory.stat."""
    for line in stat.splitlines():
        for name in _ANONYMOUS:
            if line.startswith(name):
                return int(line.removeprefix(name))
    return 0


def read(path: Path | str) -> str:
    """Give the text of one of the kernel's files."""
    return Path(path).read_text(encoding="utf-8", errors="replace")
