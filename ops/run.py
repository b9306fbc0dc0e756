"""Running the Pulumi CLI: with the terminal handed through, or for its answer."""

# ruff: noqa: S603 - the programs are ours or the user's, and no shell reads the words

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from ops.toolchain.errors import Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from ops.local import Workspace


def attached(workspace: Workspace, words: Sequence[str], env: dict[str, str] | None = None) -> int:
    """Run Pulumi with our terminal and return its exit status.

    A Ctrl-C reaches Pulumi once, and Pulumi is waited for: it finishes what it has begun, saves the state and frees its
    lock. A second one reaches it too, and makes it stop at once.
    """
    # On a terminal the kernel sends Ctrl-C to every process of the group, so to Pulumi as well. Without one the signal
    # comes to us alone or to the whole group, who knows; in a group of its own Pulumi gets it from us alone, once.
    terminal = sys.stdin.isatty()
    # Ours before Pulumi starts, so that no signal falls between. A handler, not SIG_IGN, which the child would inherit.
    pulumi: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        if pulumi is None:
            early.append(number)
        elif not (terminal and number == signal.SIGINT):
            pulumi.send_signal(signal.SIGINT)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        pulumi = subprocess.Popen(
            [str(workspace.tools.pulumi), *words],
            cwd=workspace.clone.root,
            env=env or workspace.env,
            process_group=None if terminal else 0,
        )
        for _ in early:
            pulumi.send_signal(signal.SIGINT)
        status = pulumi.wait()
        # A death by signal N is the status 128 + N, as a shell has it.
        return status if status >= 0 else 128 - status
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def answer(workspace: Workspace, words: Sequence[str], *, stdin: str = "", timeout: float = 120) -> str:
    """Run Pulumi for what it prints.

    Raises:
        Trouble: when it fails, with its own words.
    """
    done = subprocess.run(
        [str(workspace.tools.pulumi), *words],
        cwd=workspace.clone.root,
        env=workspace.env,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).removeprefix("error: ")
        command = " ".join(word for word in words[:3] if not word.startswith("/"))
        raise Trouble(f"pulumi {command}: {said}", code=done.returncode)
    return done.stdout
