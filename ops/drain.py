"""Waits for Jenkins' builds before an update replaces or removes its container, an agent's, or the engine's or proxy's.

In quiet mode Jenkins starts no build, and each branch of a pipeline pauses before its next step. A paused one goes on
after the start; a plain `sh` step that runs in that container would be lost.
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import time
from typing import TYPE_CHECKING

from setup import console
from setup.console import OpsError
from setup.engine import ERRORS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ops.deploy import Done
    from ops.jenkins import Jenkins
    from ops.stack import Stack

POLL_SECONDS = 2.0
PLAN_SECONDS = 600
"""How long the plan may take. A preview that looks at the host takes 2 s."""

CONTAINERS = re.compile(r"jenkins-controller|agents-\d+|(?:engine|proxy)-container")
"""The names of the resources in whose containers builds run, or whose engine or proxy they use."""

CONSENT = frozenset({"--yes", "-y", "--skip-preview", "-f"})
"""Options of `pulumi up` that `pulumi preview` does not know."""


def update(stack: Stack, words: Sequence[str], run: Callable[[], Done]) -> Done:
    """Run an update. If its plan replaces or removes a container of `CONTAINERS`, wait for the builds first.

    If the update fails, the user does not want it, or Jenkins itself stays, it starts builds again.
    """
    jenkins, ends = _planned(stack, words) if stack.settings.jenkins.drain_seconds else (None, False)
    if jenkins is None:
        return run()
    done = None
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        with _noted("The update goes on without waiting for builds."):
            jenkins.quiet(on=True)
            await_builds(jenkins, stack.settings.jenkins.drain_seconds)
        done = run()
    finally:
        if done is None or done.status or not done.changed or not ends:
            with _noted(f"If {jenkins.url} starts no builds, cancel the shutdown there."):
                jenkins.quiet(on=False)
    return done


def await_builds(jenkins: Jenkins, seconds: float) -> None:
    """Say which builds run, and wait until each has ended or paused, for so many seconds at most."""
    end = time.monotonic() + seconds

    def at_work() -> list[str]:
        return [name for build, name in jenkins.running().items() if jenkins.is_at_work(build)]

    if jenkins.running():
        time.sleep(POLL_SECONDS)  # a step that begins as quiet mode does is seen a moment later
    if busy := at_work():
        with console.step(f"waiting for Jenkins' builds {', '.join(busy)}", f"at most {seconds:.0f} s"):
            while busy and time.monotonic() < end:
                time.sleep(POLL_SECONDS)
                busy = at_work()
    if busy:
        console.note(f"The update goes on. These builds may lose a plain `sh` step: {', '.join(busy)}")


def _planned(stack: Stack, words: Sequence[str]) -> tuple[Jenkins | None, bool]:
    """The stack's Jenkins, if an update ends a container that its builds need, and whether it ends itself."""
    from ops import jenkins  # noqa: PLC0415 - imports Jenkins' client

    with contextlib.suppress(*ERRORS, OpsError):  # what is wrong with the plan, the update says
        if found := jenkins.of(stack, jenkins.AWAY_SECONDS):
            options = [word for word in words if word not in CONSENT]
            said = stack.ask("preview", "--json", "--non-interactive", *options, timeout=PLAN_SECONDS)
            steps = [step for step in json.loads(said)["steps"] if step["op"] in {"replace", "delete"}]
            ended = {step["urn"].rpartition("::")[2] for step in steps}
            return found if any(map(CONTAINERS.fullmatch, ended)) else None, "jenkins-controller" in ended
    return None, False


@contextlib.contextmanager
def _noted(then: str) -> Iterator[None]:
    try:
        yield
    except OpsError as failed:
        console.note(f"{failed.what} {then}")
