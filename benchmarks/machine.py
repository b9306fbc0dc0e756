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


def said(*words: str) -> str:
    """Give what a command prints; nothing where it fails or is not there."""
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout.strip()  # noqa: S603 - our own words
    except (OSError, subprocess.SubprocessError):
        return ""
