"""Runs long commands with their output in a log, and installs Debian packages."""

# ruff: noqa: S603 - the programs are ours or the user's, and no shell reads the words

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ops.toolchain import cache, console
from ops.toolchain.console import OpsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TAIL_LINES = 15
LISTS = Path("/var/lib/apt/lists")


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


def install(packages: Sequence[str], why: str) -> None:
    """Install Debian packages after asking. `why` is the end of a sentence: "to run containers".

    Raises OpsError, with the command to run by hand, when the user says no or it can't be done from here.
    """
    names = " ".join(packages)
    by_hand = f"apt-get update && apt-get install {names}"
    if not shutil.which("apt-get"):
        raise OpsError(
            f"{names} is needed {why}, and there is no apt-get here.", f"Install what your system calls {names}."
        )
    # sudo drops the environment, so the setting travels in the command.
    apt = [*become_root(f"install {names}", by_hand), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    if not console.agreed(f"Install the system package {names} {why}?"):
        raise OpsError(f"{names} is needed {why}.", f"When you are ready: sudo sh -c '{by_hand}'")
    if not any(LISTS.glob("*_Packages*")):
        run_logged([*apt, "update"], title="reading the package lists", expect="about 10 s", name="apt")
    run_logged(
        [*apt, "install", "--yes", "--no-install-recommends", *packages],
        title=f"installing {names}",
        expect="about 1 min",
        name="apt",
        remedy=f"By hand: {by_hand}",
    )


def become_root(what: str, by_hand: str) -> list[str]:
    """The words to put before a command that needs root: none, or `sudo`. Raises OpsError when that can't be had."""
    if os.geteuid() == 0:
        return []
    # Its question for a password is put now: it must not come up while output goes to a log.
    if not shutil.which("sudo") or (
        console.may_ask() and subprocess.run(["sudo", "--validate"], check=False).returncode  # noqa: S607 - the PATH's
    ):
        raise OpsError(f"To {what} takes root, and sudo is missing or refuses.", f"Run as root: {by_hand}")
    return ["sudo", "--non-interactive"]
