"""Counts what a build takes of the machine: processor time and memory, of control groups and of single processes."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
from typing import TYPE_CHECKING, Final

from tools.bench import groups

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

LOOK_SECONDS: Final = 0.05
"""Time between two looks at the memory."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_TIMES: Final = slice(11, 15)
"""Behind the name in /proc/pid/stat: user and system time, its own and that of children that ended. Source: proc(5)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scope:
    """Where one way's work is done on this machine."""

    parent: str
    """The control group below which all of it is, as `docker`: nothing else that works may be directly in it."""

    children: tuple[str, ...] = ("*",)
    """Patterns of the groups below it that count as one each."""

    engine: frozenset[str] = frozenset()
    """Names of those that stand before the build and do its work. Any other that stands before is a bystander."""

    client: frozenset[str] = frozenset()
    """Likewise, but of their memory only what the build adds counts: the CI itself runs in there."""

    processes: tuple[int, ...] = ()
    """Programs that do the work outside of any such group: an engine of this machine."""


@dataclasses.dataclass
class Usage:
    """What a build took."""

    cpu: float = 0.0
    """Processor time, seconds."""

    peak: float = 0.0
    """The most memory at one look, without page cache, MiB. What stood before of the engine is in it."""


@contextlib.contextmanager
def measuring(scope: Scope) -> Iterator[Usage]:
    """Measure what is done in the block; the figures are there when it ends."""
    look = _Look(scope)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(LOOK_SECONDS):
            look.memory()

    thread = threading.Thread(target=watch, daemon=True)
    usage = Usage()
    thread.start()
    try:
        yield usage
    finally:
        ended.set()
        thread.join()
    look.memory()
    usage.cpu, usage.peak = look.cpu(), look.peak / 2**20


def idle(scope: Scope) -> float:
    """Give the memory that the standing parts of a way take while nothing is built, without its client, MiB."""
    look = _Look(scope)
    look.memory()
    return look.peak / 2**20


class _Look:
    """Looks at a scope again and again, and holds what it sees against what was there at first."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.peak = 0
        standing = _children(groups.memory() / scope.parent, scope.children)
        known = scope.engine | scope.client
        self._bystanders = frozenset(name for name in standing if name not in known)
        self._clients = sum(_anonymous(standing[name]) for name in scope.client if name in standing)
        self._before = self._cpu()

    def memory(self) -> None:
        """Look once."""
        found = _children(groups.memory() / self._scope.parent, self._scope.children)
        held = sum(_anonymous(path) for name, path in found.items() if name not in self._bystanders) - self._clients
        held += sum(_resident(pid) for pid in self._scope.processes)
        self.peak = max(self.peak, held)

    def cpu(self) -> float:
        """Give the processor time since the start, seconds."""
        return spent(self._before, self._cpu())

    def _cpu(self) -> dict[str, float]:
        """Give the times so far: of everything under "", and what is not the build's under its name."""
        parent = groups.cpu() / self._scope.parent
        found = _children(parent, self._scope.children)
        others = {name: groups.cpu_seconds(path) for name, path in found.items() if name in self._bystanders}
        own = sum(_process_seconds(pid) for pid in self._scope.processes)
        return {"": groups.cpu_seconds(parent) + own, **others}


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """Give what was spent between two readings: of the whole, without those that stood by.

    A group's time holds that of all groups below it, those included that are gone by now. One that stood by and went
    away meanwhile can't be told from the build, and is left in.
    """
    others = sum(after[name] - before[name] for name in before if name and name in after)
    return after[""] - before[""] - others


def _children(parent: Path, patterns: tuple[str, ...]) -> dict[str, Path]:
    return {path.name: path for pattern in patterns for path in parent.glob(pattern) if path.is_dir()}


def _anonymous(group: Path) -> int:
    with contextlib.suppress(OSError):  # it has ended since
        return groups.anonymous((group / "memory.stat").read_text())
    return 0


def _process_seconds(pid: int) -> float:
    """Give the processor time of a process and of all its children that have ended."""
    with contextlib.suppress(OSError):
        stat = groups.read(f"/proc/{pid}/stat")
        return sum(int(field) for field in stat.rpartition(")")[2].split()[_TIMES]) / _TICKS
    return 0.0


def _resident(pid: int) -> int:
    """Give the memory of a process that is no file's, bytes."""
    with contextlib.suppress(OSError):
        for line in groups.read(f"/proc/{pid}/status").splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0
