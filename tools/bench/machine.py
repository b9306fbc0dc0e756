"""Names the machine that the figures are of."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ops.toolchain.pulumi_cli import Part

_LOOK_SECONDS: Final = 5
"""Time between two looks at the load, which the kernel itself counts anew as often."""


def describe(origin: Mapping[str, Part], *, plugin: str, place: Mapping[str, str]) -> dict[str, str]:
    """Give what the figures depend on, by name, in the order in which it is shown.

    Args:
        origin: of the tool chain.
        plugin: the one provider plugin that has a part in the figures, as `origin` names it.
        place: version of what is deployed to, by its name.
    """
    wanted = {name: part for name, part in origin.items() if name == plugin or not name.endswith(" plugin")}
    parts = {name: f"{part.version}, {part.kind}" for name, part in wanted.items()}
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{cores()} cores of {processor(_read('/proc/cpuinfo'))}",
        "memory": memory(_read("/proc/meminfo")),
        "system": f"{system(_read('/etc/os-release'))}, Linux {platform.release()}",
        **place,
        **parts,
        "Python": platform.python_version(),
        "load before": load(),
    }


def load() -> str:
    """Give the load, for example `0.60, 1.55, 2.31 (1, 5, 15 min)`."""
    return "{:.2f}, {:.2f}, {:.2f} (1, 5, 15 min)".format(*os.getloadavg())


def cores() -> int:
    """Give the number of processors that this process may use."""
    return len(os.sched_getaffinity(0))


def busy() -> bool:
    """Say whether other work takes so much of the machine that figures would be of both."""
    return os.getloadavg()[0] > cores() * 0.5


def await_quiet(seconds: float) -> None:
    """Wait until no other work takes much of the machine, at most so long."""
    end = time.monotonic() + seconds
    while busy() and time.monotonic() < end:
        time.sleep(min(_LOOK_SECONDS, seconds))


def processor(cpuinfo: str) -> str:
    """Give the processor's name from the text of /proc/cpuinfo."""
    found = re.search(r"^(?:model name|Model|Hardware)\s*: (.+)$", cpuinfo, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def memory(meminfo: str) -> str:
    """Give the machine's memory from the text of /proc/meminfo."""
    found = re.search(r"^MemTotal:\s+(\d+) kB$", meminfo, re.MULTILINE)
    return f"{int(found[1]) / 2**20:.0f} GiB" if found else "unknown"


def system(release: str) -> str:
    """Give the distribution's name from the text of /etc/os-release."""
    found = re.search(r'^PRETTY_NAME="?([^"\n]+)"?$', release, re.MULTILINE)
    return found[1] if found else "Linux"


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
