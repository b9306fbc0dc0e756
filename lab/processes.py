"""The lab's processes: started into its namespaces and its control group, known again, ended with all they began."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab import cgroups
from lab.host import SBIN
from lab.layout import Layout
from setup import cache, process
from setup.console import OpsError

DETACHED = 'log=$1; shift; setsid sh -c "$0" "$@" >>"$log" 2>&1 </dev/null & echo $!'
"""Starts a script, its word 0, in the background of a shell that ends at once; prints its number. Word 1 is the log."""
JOIN = 'echo $$ >"$1" || exit 1; shift; exec "$@"'
"""Moves a shell into the control group whose file is its first word, and then becomes the program."""
KILL_SECONDS = 20.0
STEP_SECONDS = 0.05


@dataclasses.dataclass(frozen=True)
class Process:
    """A process of the lab, running or not."""

    name: str
    pid: int
    started: int
    """When, in clock ticks since the machine's start (proc_pid_stat(5)): a later one of the same number has another."""

    @property
    def alive(self) -> bool:
        """Whether this very process still runs. One that has ended and that nobody has waited for yet does not."""
        return _started(self.pid) == self.started


def start(
    lab: Layout,
    name: str,
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    mounts_of: Process | None = None,
) -> Process:
    """Start a program in the lab's network namespace, in a session of its own; it outlives this process.

    env: added to a small environment of ours; nothing of the user's own gets in. mounts_of: the process whose mounts it
    is to see; by default it sees the machine's.
    """
    lab.logs.mkdir(parents=True, exist_ok=True)
    joined = [name, str(cgroups.join_file(lab)), *_inside(lab, mounts_of), *(str(word) for word in command)]
    done = subprocess.run(
        ["sh", "-c", DETACHED, JOIN, str(lab.logs / f"{name}.log"), *joined],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd="/",
        env={**environment(), **(env or {})},
    )  # fmt: skip
    if done.returncode:
        raise OpsError(f"{name} can't be started: {done.stderr.strip()}")
    pid = int(done.stdout)
    made = Process(name, pid, _started(pid) or 0)
    cache.write(lab.pids / f"{name}.json", json.dumps(dataclasses.asdict(made)))
    return made


def run(lab: Layout, command: Sequence[str | Path], *, title: str, data: bytes | None = None) -> bytes:
    """Run a command in the lab's network to its end and return its stdout. Raises OpsError with its stderr."""
    words = [*_inside(lab), *(str(word) for word in command)]
    done = subprocess.run(
        words, input=data, stdin=None if data is not None else subprocess.DEVNULL, capture_output=True, check=False,
        env=environment(), timeout=300,
    )  # fmt: skip
    if done.returncode:
        raise OpsError(f"{title}: {done.stderr.decode(errors='replace').strip() or f'status {done.returncode}'}")
    return done.stdout


def environment() -> dict[str, str]:
    """What the lab's programs get to see: a PATH with the system's tools, and Go's collector set for little memory."""
    return {"PATH": SBIN, "HOME": "/root", "LANG": "C.UTF-8", "GOGC": "50"}


def known(lab: Layout) -> list[Process]:
    """The processes that have a pid file. An unreadable file is passed over: its process is found by its group."""
    found = []
    for path in sorted(lab.pids.glob("*.json")):
        with contextlib.suppress(ValueError, TypeError):
            found.append(Process(**json.loads(path.read_text())))
    return found


def check(lab: Layout, made: Process) -> None:
    """Raise when a process has ended. Raises OpsError with the last lines of its log."""
    if not made.alive:
        raise OpsError(f"{made.name} has ended.\n{process.tail(lab.logs / f'{made.name}.log')}")


def stop(lab: Layout) -> None:
    """Kill every process of the lab: programs, pods, shims. None has anything to save: the data goes too.

    Raises OpsError when one can't be killed.
    """
    until = time.monotonic() + KILL_SECONDS
    while pids := cgroups.members(lab):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > until:
            raise OpsError(
                f"The lab's processes {', '.join(str(pid) for pid in pids)} can't be killed.",
                "They may wait for a disk: try again when `ps -o stat,wchan` no longer shows them in state D.",
            )
        time.sleep(STEP_SECONDS)
    for path in lab.pids.glob("*.json"):
        path.unlink(missing_ok=True)


def _inside(lab: Layout, mounts_of: Process | None = None) -> list[str]:
    # Not `ip netns exec`: that mounts another /sys, in which there are no control groups.
    mounts = [f"--mount=/proc/{mounts_of.pid}/ns/mnt"] if mounts_of else []
    return ["nsenter", f"--net=/run/netns/{lab.netns}", *mounts, "--"]


def _started(pid: int) -> int | None:
    """When a process was started; None when there is none, or it has ended and only waits for its parent."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold anything
    return None if fields[0] in {"Z", "X"} else int(fields[19])
