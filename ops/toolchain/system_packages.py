"""Debian packages: asked for by name first, installed with apt-get, as root or through sudo."""

# ruff: noqa: PLC0415 - imported late: what a quiet `make up` does not need is not to cost it time

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ops.toolchain import console, process
from ops.toolchain.errors import Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

LISTS = Path("/var/lib/apt/lists")


def install(packages: Sequence[str], why: str) -> None:
    """Install packages after asking.

    Args:
        packages: their names.
        why: what they are for, as the end of a sentence ("to run containers").

    Raises:
        Trouble: when the user says no, or it can't be done from here; with the command to run by hand.
    """
    names = " ".join(packages)
    by_hand = f"apt-get update && apt-get install {names}"
    if not shutil.which("apt-get"):
        raise Trouble(
            f"{names} is needed {why}, and there is no apt-get here.", f"Install what your system calls {names}."
        )
    prefix = become_root(f"install {names}", f"Run as root: {by_hand}")
    if not console.agreed(f"Install the system package {names} {why}?"):
        raise Trouble(f"{names} is needed {why}.", f"When you are ready: sudo sh -c '{by_hand}'")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if not any(LISTS.glob("*_Packages*")):
        process.run_logged(
            [*prefix, "apt-get", "update"], title="reading the package lists", expect="about 10 s", name="apt", env=env
        )
    # sudo drops the environment, so the setting travels in the command.
    process.run_logged(
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
        Trouble: when neither is to be had.
    """
    if os.geteuid() == 0:
        return []
    if not shutil.which("sudo"):
        raise Trouble(f"To {what} takes root, and there is no sudo here.", by_hand)
    if console.may_ask():
        import subprocess

        # Its question for a password must not come up while output goes to a log.
        if subprocess.run(["sudo", "--validate"], check=False).returncode:  # noqa: S607 - which sudo is the PATH's business
            raise Trouble(f"To {what} takes root, and sudo refused.", by_hand)
        return ["sudo", "--non-interactive"]
    return ["sudo", "--non-interactive"]
