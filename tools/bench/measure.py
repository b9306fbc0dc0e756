"""Runs a command and measures it: how long, and how much memory all its processes held together at their peak."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import resource
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ops.toolchain.errors import Trouble
from tools.bench.stats import LEAST_ROUNDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SAMPLE_SECONDS: Final = 0.025
"""Time between two looks at the memory. A program holds its peak for some tenths of a second."""
GRACE_SECONDS: Final = 10
"""How long a command that is stopped may take to end by itself."""
_TAIL_LINES: Final = 15
_PAGE: Final = resource.getpagesize()


Job = Callable[[], Mapping[str, float]]
"""Does its work once, and gives its figures by name."""


class LateError(Trouble):
    """The time for all of the measuring is used up."""


class Deadline:
    """The moment at which everything must be done."""

    def __init__(self, seconds: float, verb: str = "bench") -> None:
        """Begin now.

        Args:
            seconds: until then.
            verb: of `make`, by which a longer time is asked for.
        """
        self.seconds = seconds
        self._verb = verb
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Give the seconds that are left; raise LateError where none are."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise LateError(
                f"`make {self._verb}` is not done after {self.seconds:.0f} s: the machine is slow, or busy.",
                "Try again on a quiet machine, or give it longer: "
                f"make {self._verb} ARGS='--seconds {2 * self.seconds:.0f}'",
            )
        return left


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """A command to measure."""

    words: Sequence[str]
    cwd: Path
    env: Mapping[str, str]

    def __str__(self) -> str:
        """Give its first words, without the paths."""
        return " ".join(Path(word).name for word in self.words[:2])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finished:
    """A command that has ended well."""

    begun: float
    """When it was started, seconds since 1970: what the Docker engine's own times are held against."""
    seconds: float
    output: str


def run(command: Command, deadline: Deadline, *, during: Callable[[int], None] | None = None) -> Finished:
    """Run a command to its end.

    Args:
        command: what to run. It gets no terminal, and a session of its own: a Ctrl-C reaches only this process, which
            then stops the command and all its children.
        deadline: when to give up.
        during: called once with the session's id while the command runs, in this thread.

    Raises:
        Trouble: when the command fails, with the end of what it printed, or is not done in time.
    """
    with tempfile.TemporaryFile() as output:
        left, late = deadline.left(), threading.Event()
        begun, clock = time.time(), time.monotonic()
        process = subprocess.Popen(  # noqa: S603 - our own commands, as lists of words
            list(command.words),
            cwd=command.cwd,
            env=dict(command.env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

        def stop_late() -> None:
            late.set()
            _stop(process)

        # Popen.wait with a timeout looks only every 50 ms, which would be a part of the figure.
        timer = threading.Timer(left, stop_late)
        timer.start()
        try:
            if during is not None:
                during(process.pid)
            status = process.wait()
            seconds = time.monotonic() - clock
        except BaseException:
            _stop(process)
            raise
        finally:
            timer.cancel()
            _kill_session(process.pid)
        if late.is_set():
            deadline.left()
        output.seek(0)
        text = output.read().decode(errors="replace")
    if status:
        shown = "\n".join(f"    | {line}" for line in text.splitlines()[-_TAIL_LINES:])
        raise Trouble(f"{command} ended with status {status}; its last lines:\n{shown}")
    return Finished(begun=begun, seconds=seconds, output=text)


def peak_mib(command: Command, deadline: Deadline) -> float:
    """Run a command; give the peak of the resident memory of all its processes together, MiB.

    Every SAMPLE_SECONDS the resident sizes of the session's processes are added up. Pages that two of them share are
    counted twice, for every command alike. The looking takes processor time, so runs for memory are not timed.
    """
    peak = 0

    def look(session: int) -> None:
        nonlocal peak
        while True:
            sizes = [pages for _, state, pages in _session(session) if state != "Z"]
            if not sizes:
                return
            peak = max(peak, sum(sizes) * _PAGE)
            time.sleep(SAMPLE_SECONDS)

    run(command, deadline, during=look)
    return peak / 2**20


def _session(session: int) -> Iterator[tuple[int, str, int]]:
    """Give the processes of a session: id, state, resident pages. Source of the places: proc(5), /proc/pid/stat."""
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it has ended since
            stat = Path(entry.path, "stat").read_bytes()
            fields = stat[stat.rindex(b")") + 2 :].split()
            if int(fields[3]) == session:
                yield int(entry.name), fields[0].decode(), int(fields[21])


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Let a command end as on Ctrl-C, so that Pulumi stops its plugins; then end whatever is left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)
    _kill_session(process.pid)
    process.wait()


def _kill_session(session: int) -> None:
    for pid, _, _ in _session(session):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def interleaved(
    jobs: Mapping[str, Job], rounds: int, *, share: float = math.inf
) -> dict[str, dict[str, tuple[float, ...]]]:
    """Run each job once a round; give its figures, round by round.

    Every other round goes the other way round, so that none always follows the same other one.

    Args:
        jobs: by name; each does its work once and gives its figures by name.
        rounds: how many, LEAST_ROUNDS or more.
        share: seconds after which no round beyond LEAST_ROUNDS is begun.

    Returns:
        Name of the job, name of the figure, values.
    """
    taken: dict[str, list[Mapping[str, float]]] = {name: [] for name in jobs}
    end = time.monotonic() + share
    for number in range(rounds):
        if number >= LEAST_ROUNDS and time.monotonic() > end:
            break
        order = list(jobs) if number % 2 == 0 else list(jobs)[::-1]
        for name in order:
            taken[name].append(jobs[name]())
    return {
        name: {figure: tuple(once[figure] for once in found) for figure in found[0]} for name, found in taken.items()
    }
