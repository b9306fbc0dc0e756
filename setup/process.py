"""Runs long commands with their output in a log, and what `offline` and the bootstrap do for us."""

# ruff: noqa: S603 - the programs are ours or the user's, and no shell reads the words

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from setup import cache, console
from setup.console import OpsError

ROOT = Path(__file__).resolve().parents[1]
TAIL_LINES = 15


def log_path(name: str) -> Path:
    """A new log file's path under the cache, for example `logs/pulumi-build-20260821-103000-4711.log`."""
    path = cache.root() / "logs" / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def run_logged(  # noqa: PLR0913 - all by keyword
    command: Sequence[str | Path],
    *,
    title: str,
    expect: str,
    name: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
    remedy: str = "",
) -> None:
    """Run a command as a step of this title, with its output in a log of this name.

    Raises OpsError with the log's end and the remedy when it can't start, fails, or takes more seconds than `timeout`.
    """
    log = log_path(name)
    try:
        with console.step(title, expect, log=log), log.open("wb") as sink:
            subprocess.run(
                [*map(str, command)], env=env, cwd=cwd, timeout=timeout, check=True,
                stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT,
            )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as failed:
        raise OpsError(f"{title}: {failed}\n{tail(log)}", remedy) from failed


def tail(log: Path) -> str:
    """The last lines of a log, indented, with the log's path before them."""
    lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
    return "\n".join([f"  the last lines of {log}:", *(f"    | {line}" for line in lines)])


def offline(verb: str, *words: str | Path) -> None:
    """Run a verb of `python -m offline`, which says what it does. Raises OpsError when it fails; it has said why."""
    command = [sys.executable, "-m", "offline", verb, *map(str, words)]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise OpsError(f"`python -m offline {verb}` failed.", "The reason is above.")


def install(packages: Sequence[str], why: str) -> None:
    """Install Debian packages after asking. `why` is the end of a sentence: "to run containers".

    Raises OpsError when the user says no or it can't be done from here. The command to run by hand was shown then.
    """
    command = ["sh", str(ROOT / "setup/bootstrap.sh"), "install", why, *packages]
    if subprocess.run(command, check=False).returncode:
        raise OpsError(f"{' '.join(packages)} is needed {why}.", "What to do is above.")
