"""Finds the programs of a Docker engine of this machine, whose work is counted."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from pathlib import Path
from typing import Final

_ENGINE: Final = "dockerd"
_RUNTIME: Final = "containerd"


def processes(host: str) -> tuple[int, ...]:
    """Give the numbers of the engine that listens at a socket, and of its containerd; as far as they can be told."""
    listener = _listener(host.removeprefix("unix://"))
    known = {pid: (_name(pid), _parent(pid)) for pid in _all()}
    engines = [listener] if known.get(listener, ("", 0))[0] == _ENGINE else _named(known, _ENGINE)
    own = [pid for pid in _named(known, _RUNTIME) if known[pid][1] in engines]
    # A service of its own where the engine did not start one.
    return (
        *engines,
        *(own or [pid for pid in _named(known, _RUNTIME) if known[pid][1] == 1 and len(_words(pid)) == 1]),
    )


def with_runtime(engine: int) -> tuple[int, ...]:
    """Give the numbers of an engine and of the containerd that it has started."""
    return (engine, *(pid for pid in _all() if _name(pid) == _RUNTIME and _parent(pid) == engine))


def _listener(path: str) -> int:
    """Give who listens at a socket. It is the system's own first process where that holds sockets for services."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(path)
        size = struct.calcsize("3i")
        return int(struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[0])


def _all() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - names, not paths


def _named(known: dict[int, tuple[str, int]], name: str) -> list[int]:
    return [pid for pid, (its, _) in known.items() if its == name]


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    return ""


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    return 0


def _words(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").strip("\0").split("\0")
    return []
