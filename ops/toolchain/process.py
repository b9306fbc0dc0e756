"""Running a long sub-command: its output to a log, its end shown with the log's last lines when it fails."""

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
        OpsError: when it can't start, ends with another status than 0, or takes longer than `timeout`.
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
        raise OpsError(f"{title}: {missing.filename} is not installed.", remedy) from missing
    except subprocess.TimeoutExpired as late:
        raise OpsError(
            f"{title}: not done after {console.duration(late.timeout)}, so it was ended.\n{tail(log)}", remedy
        ) from late
    except subprocess.CalledProcessError as failed:
        raise OpsError(f"{title}: ended with status {failed.returncode}.\n{tail(log)}", remedy) from failed


def tail(log: Path) -> str:
    """The last lines of a log, indented, with the log's path before them."""
    lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
    return "\n".join([f"  the last lines of {log}:", *(f"    | {line}" for line in lines)])


LISTS = Path("/var/lib/apt/lists")


def install(packages: Sequence[str], why: str) -> None:
    """Install packages after asking.

    Args:
        packages: their names.
        why: what they are for, as the end of a sentence ("to run containers").

    Raises:
        OpsError: when the user says no, or it can't be done from here; with the command to run by hand.
    """
    names = " ".join(packages)
    by_hand = f"apt-get update && apt-get install {names}"
    if not shutil.which("apt-get"):
        raise OpsError(
            f"{names} is needed {why}, and there is no apt-get here.", f"Install what your system calls {names}."
        )
    prefix = become_root(f"install {names}", f"Run as root: {by_hand}")
    if not console.agreed(f"Install the system package {names} {why}?"):
        raise OpsError(f"{names} is needed {why}.", f"When you are ready: sudo sh -c '{by_hand}'")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if not any(LISTS.glob("*_Packages*")):
        run_logged(
            [*prefix, "apt-get", "update"], title="reading the package lists", expect="about 10 s", name="apt", env=env
        )
    # sudo drops the environment, so the setting travels in the command.
    run_logged(
        [
            *prefix,
            "env",
            "DEBIAN_FRONTEND=noninteractive",
            "apt-get",
            "install",
            "--yes",
            "--no-install-recommends",
            *packages,
        ],
        title=f"installing {names}",
        expect="about 1 min",
        name="apt",
        env=env,
        remedy=f"See the log; by hand: {by_hand}",
    )


def become_root(what: str, by_hand: str) -> list[str]:
    """The words to put before a command that needs root: none for root, else `sudo`, its question put first.

    Raises:
        OpsError: when neither is to be had.
    """
    if os.geteuid() == 0:
        return []
    if not shutil.which("sudo"):
        raise OpsError(f"To {what} takes root, and there is no sudo here.", by_hand)
    if console.may_ask():
        # Its question for a password must not come up while output goes to a log.
        if subprocess.run(["sudo", "--validate"], check=False).returncode:  # noqa: S607 - which sudo is the PATH's business
            raise OpsError(f"To {what} takes root, and sudo refused.", by_hand)
        return ["sudo", "--non-interactive"]
    return ["sudo", "--non-interactive"]
