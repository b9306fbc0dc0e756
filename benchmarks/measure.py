"""Runs commands and measures them: seconds, processor time, and the most memory at one moment. Names the machine."""

import contextlib
import datetime as dt
import os
import platform
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.model import Benchmark, BenchmarkError, Command, Meter
from benchmarks.project import said

SAMPLE_SECONDS: Final = 0.1
"""Time between two looks at the memory. A look takes 2 to 5 ms of one processor, the same for all variants."""
GRACE_SECONDS: Final = 10
"""How long a command that is interrupted may take to end by itself."""
_GROUPS: Final = Path("/sys/fs/cgroup")
_LATE: Final = 124
"""What `timeout` ends with when the time is over."""
_INNER: Final = re.compile(r"^bench-seconds ([0-9.]+)\s*$", re.MULTILINE)

Rounds = dict[str, dict[str, dict[str, list[float]]]]
"""Variant, step, figure: one value for each round."""


def machine() -> dict[str, str]:
    """Give what the figures depend on, by name, in the order in which it is shown."""
    processor = re.search(r"^(?:model name|Model)\s*: (.+)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{len(os.sched_getaffinity(0))} cores of {processor[1] if processor else platform.machine()}",
        "memory": f"{memory / 2**30:.0f} GiB",
        "system": f"{platform.freedesktop_os_release()['PRETTY_NAME']}, Linux {platform.release()}",
        "Docker engine": said("docker", "version", "--format", "{{.Server.Version}}") or "none",
        "Python": platform.python_version(),
        "load before": "{:.2f}, {:.2f}, {:.2f} (1, 5, 15 min)".format(*os.getloadavg()),
    }


def rounds(benchmark: Benchmark, count: int, limit_seconds: float, say: Callable[[str], None]) -> Rounds:
    """Measure each variant once a round, every other round in the opposite order. Raises what `run` raises."""
    found: Rounds = {each.name: {step: {} for step in each.steps} for each in benchmark.variants}
    for number in range(count):
        for variant in benchmark.variants[:: 1 if number % 2 == 0 else -1]:
            for step, prepare in variant.steps.items():
                figures = run(prepare(), limit_seconds)
                say(f"{benchmark.name}, round {number + 1}: {variant.name} {step} {figures['seconds']:.2f} s")
                for name, value in figures.items():
                    found[variant.name][step].setdefault(name, []).append(value)
    return found


def run(command: Command, limit_seconds: float) -> dict[str, float]:
    """Run a command to its end; give `seconds`, `cpuSeconds` and `memoryMib`.

    It gets no terminal and a session of its own. What it leaves running is killed. Raises BenchmarkError when it fails,
    with the end of what it printed, or takes longer than the limit.
    """
    # Interrupted, Pulumi ends its plugins.
    limit = ["timeout", "--signal=INT", f"--kill-after={GRACE_SECONDS}", str(limit_seconds)]
    ended, held = threading.Event(), [0.0]
    with tempfile.TemporaryFile() as output:
        before = usage(command.meter) if command.meter else (0.0, 0.0)
        begun = time.monotonic()
        process = subprocess.Popen(  # noqa: S603 - our own commands, as lists of words
            [*limit, *command.words], cwd=command.cwd, env=command.env, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip

        def look() -> None:
            while not ended.wait(SAMPLE_SECONDS):
                held.append(usage(command.meter)[1] if command.meter else float(sum(session(process.pid).values())))

        watch = threading.Thread(target=look, daemon=True)
        watch.start()
        try:
            # Popen.wait with a timeout looks only every 50 ms, and does not give the processor time.
            _, status, used = os.wait4(process.pid, 0)
            seconds = time.monotonic() - begun
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if process.returncode is None:  # Ctrl-C
                process.send_signal(signal.SIGINT)
                process.wait()
            ended.set()
            watch.join()
            while left := session(process.pid):
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                time.sleep(SAMPLE_SECONDS / 10)  # what is killed takes a moment to be gone
        output.seek(0)
        text = output.read().decode(errors="replace")
    if code := process.returncode:
        why = f"took longer than {limit_seconds:g} s" if code == _LATE else f"ended with {code}"
        raise BenchmarkError(f"{' '.join(command.words)[:200]} {why}:\n{text[-2000:]}")
    inner = _INNER.findall(text)
    return {
        "seconds": float(inner[-1]) if inner else seconds,
        "cpuSeconds": usage(command.meter)[0] - before[0] if command.meter else used.ru_utime + used.ru_stime,
        "memoryMib": max(0.0, max(held) - before[1]) / 2**20,
    }


def session(number: int) -> dict[int, int]:
    """Give the resident bytes of a session's processes by their id. Pages that two of them share count for both."""
    stats = {int(entry.name): _stat(int(entry.name)) for entry in os.scandir("/proc") if entry.name.isdigit()}
    page = os.sysconf("SC_PAGE_SIZE")
    return {pid: int(of[21]) * page for pid, of in stats.items() if of and int(of[3]) == number and of[0] != "Z"}


def usage(meter: Meter) -> tuple[float, float]:
    """Give the processor time in seconds and the memory in bytes, without page cache, so far and now."""
    cpu, memory = 0.0, 0.0
    for group in meter.groups:
        if (_GROUPS / "cpuacct" / group).is_dir():  # version 1
            cpu += float(_read(_GROUPS / "cpuacct" / group / "cpuacct.usage") or 0) / 1e9
            memory += _line(_GROUPS / "memory" / group / "memory.stat", "total_rss")
        else:
            cpu += _line(_GROUPS / group / "cpu.stat", "usage_usec") / 1e6
            memory += _line(_GROUPS / group / "memory.stat", "anon")
    for pid in meter.pids:
        cpu += sum(int(field) for field in _stat(pid)[11:15]) / os.sysconf("SC_CLK_TCK")
        memory += _line(Path(f"/proc/{pid}/status"), "RssAnon:") * 1024
    return cpu, memory


def _stat(pid: int) -> list[str]:
    """Give the fields behind the name in /proc/pid/stat; none where the process is gone. Source: proc(5)."""
    return _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()


def _line(path: Path, name: str) -> float:
    return next((float(line.split()[1]) for line in _read(path).splitlines() if line.split()[0] == name), 0.0)


def _read(path: Path) -> str:
    with contextlib.suppress(OSError):  # it has ended
        return path.read_text(encoding="utf-8", errors="replace")
    return ""
