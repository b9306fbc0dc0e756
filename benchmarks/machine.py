"""Names the machine and the programs that the figures depend on."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import subprocess
from pathlib import Path


def describe() -> dict[str, str]:
    """Give what the figures depend on, by name, in the order in which it is shown."""
    processor = _match(r"^(?:model name|Model|Hardware)\s*: (.+)$", "/proc/cpuinfo") or platform.machine()
    memory = int(_match(r"^MemTotal:\s+(\d+) kB$", "/proc/meminfo") or 0)
    system = _match(r'^PRETTY_NAME="?([^"\n]+)"?$', "/etc/os-release") or "Linux"
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{len(os.sched_getaffinity(0))} cores of {processor.strip()}",
        "memory": f"{memory / 2**20:.0f} GiB",
        "system": f"{system}, Linux {platform.release()}",
        "Docker engine": said("docker", "version", "--format", "{{.Server.Version}}") or "none",
        "Python": platform.python_version(),
        "load before": "{:.2f}, {:.2f}, {:.2f} (1, 5, 15 min)".format(*os.getloadavg()),
    }


def said(*words: str) -> str:
    """Give what a command prints; nothing where it fails or is not there."""
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=30).stdout.strip()  # noqa: S603 - our own words
    except (OSError, subprocess.SubprocessError):
        return ""


def _match(pattern: str, path: str) -> str:
    try:
        found = re.search(pattern, Path(path).read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    except OSError:
        return ""
    return found[1] if found else ""
