"""Running a long sub-command: its output to a log, its end shown with the log's last lines when it fails."""

# ruff: noqa: S603 - the programs are ours or the user's, and no shell reads the words

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

from ops.toolchain import cache, console
from ops.toolchain.errors import Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TAIL_LINES = 15


def log_path(name: str) -> Path:
    """A new log file's path under the cache, for example `logs/pulumi-build-20260821-103000-4711.log`."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return cache.root() / "logs" / f"{name}-{stamp}-{os.getpid()}.log"


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
    """Run a command as a shown step.

    Args:
        command: argv.
        title: what it does, as a phrase.
        expect: about how long it takes.
        name: the log's name.
        env: the whole environment; the process's own by default.
        cwd: where to run it.
        timeout: seconds after which it is ended.
        remedy: what a user can do when it fails.

    Raises:
        Trouble: when it can't start, ends with another status than 0, or takes longer than `timeout`.
    """
    log = log_path(name)
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with console.step(title, expect, log=log), log.open("wb") as sink:
            subprocess.run(
                [str(part) for part in command],
                env=dict(env) if env is not None else None,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                check=True,
            )
    except FileNotFoundError as missing:
        raise Trouble(f"{title}: {missing.filename} is not installed.", remedy) from missing
    except subprocess.TimeoutExpired as late:
        raise Trouble(
            f"{title}: not done after {console.duration(late.timeout)}, so it was ended.\n{tail(log)}", remedy
        ) from late
    except subprocess.CalledProcessError as failed:
        raise Trouble(f"{title}: ended with status {failed.returncode}.\n{tail(log)}", remedy) from failed


def tail(log: Path) -> str:
    """The last lines of a log, indented, with the log's path before them."""
    lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
    return "\n".join([f"  the last lines of {log}:", *(f"    | {line}" for line in lines)])
