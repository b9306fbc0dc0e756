"""`up`, `preview` and `down`: what stands around Pulumi's own commands."""

# ruff: noqa: PLC0415 - imported late: what a quiet `make up` does not need is not to cost it time

from __future__ import annotations

import dataclasses
import http.client
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops import choice, run, stackfile
from ops.clone import Clone, here, read_yaml
from ops.local import Workspace
from tools.toolchain import console, docker_engine, toolchain

if TYPE_CHECKING:
    from collections.abc import Sequence

LOG_LINES = 20
"""How much of a container's log is shown when it is not well. A refused configuration takes Jenkins about ten."""

UNCHANGED = frozenset({"same", "read", "refresh"})
"""The engine's words for steps that change nothing."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a Pulumi command ended."""

    status: int
    """Pulumi's exit status; 128 + N after death by signal N."""
    changes: dict[str, int]
    """Steps by kind as the engine counted them, as `{"same": 4, "create": 1}`; empty if it got not that far."""

    @property
    def changed(self) -> int:
        """How many steps changed something."""
        return sum(count for kind, count in self.changes.items() if kind not in UNCHANGED)


def open_workspace(named: str | None = None) -> Workspace:
    """The clone with a tool chain, got first if need be.

    Raises:
        Trouble: when a stack was named that there is not. That is found before minutes go into a tool chain.
    """
    clone = here()
    if named is not None:
        clone.require(named)
    return Workspace(clone, toolchain.ensure())


def pulumi(workspace: Workspace, verb: str, stack: str, words: Sequence[str]) -> Outcome:
    """Run one of Pulumi's deployment commands with the stack's effective settings.

    Args:
        workspace: the clone and its tools.
        verb: `up`, `preview`, `destroy` or `refresh`.
        stack: which.
        words: more words for the command.
    """
    effective = workspace.prepare(stack)
    with tempfile.TemporaryDirectory(prefix="ci-ops-") as folder:
        events = Path(folder) / "events"
        # The event log is how the Automation API learns what happened; the CLI shows the flag only when asked to.
        # The API itself would take our terminal away from Pulumi, and 0.5 s to import.
        env = {**workspace.env, "PULUMI_DEBUG_COMMANDS": "true"}
        line = [verb, "--stack", stack, "--config-file", str(effective), "--event-log", str(events), *words]
        try:
            status = run.attached(workspace, line, env)
        finally:
            with workspace.locked():
                workspace.carry_back(stack)
        return Outcome(status, _changes(events))


def _changes(events: Path) -> dict[str, int]:
    """The counts of the last summary in an event log."""
    found: dict[str, int] = {}
    if events.exists():
        for line in events.read_text().splitlines():
            if '"summaryEvent"' in line:
                found = json.loads(line)["summaryEvent"].get("resourceChanges") or {}
    return found


def up(named: str | None, *, yes: bool, words: Sequence[str]) -> int:
    """Bring a stack up, and say what there is now.

    Returns:
        Pulumi's exit status.
    """
    workspace = open_workspace(named)
    clone = workspace.clone
    settings = workspace.settings(named or choice.remembered(clone))
    if stackfile.setting(settings, "ci:platform") == "docker":
        docker_engine.ensure(choice.docker_host(settings))
    stack = choice.for_up(clone, named, settings)
    if choice.needs_stand_in(workspace.settings(stack)):
        from tools.offline import images

        images.ensure(choice.docker_host(workspace.settings(stack)))
    # Where nobody is shown the preview to agree to, it only doubles the time. What is wrong in the settings is found by
    # the program before it registers anything, in an update as well.
    consent = [*_consent(yes=yes), "--skip-preview"] if _consent(yes=yes) else []
    outcome = pulumi(workspace, "up", stack, [*consent, *words])
    if outcome.status == 0:
        choice.came_up(clone, stack)
        return _say(workspace, stack, outcome)
    _show_log(workspace.settings(stack))
    return outcome.status


def preview(named: str | None, words: Sequence[str]) -> int:
    """Show what `up` would change. Returns Pulumi's exit status."""
    workspace = open_workspace(named)
    stack = named or choice.remembered(workspace.clone)
    return pulumi(workspace, "preview", stack, ["--diff", *words]).status


def down(named: str | None, *, yes: bool, words: Sequence[str]) -> int:
    """Remove what a stack deployed, except its data, and say what is left. Returns Pulumi's exit status."""
    workspace = open_workspace(named)
    clone = workspace.clone
    stack = named or choice.remembered(clone)
    left = outputs(workspace, stack).get("homeVolume") if workspace.exists(stack) else None
    outcome = pulumi(workspace, "destroy", stack, [*_consent(yes=yes), *words])
    if outcome.status == 0:
        if choice.remembered(clone) == stack:
            choice.forget(clone)
        console.note(f"\nStack {stack} is down.")
        if not words:
            # Pulumi's own advice lacks the option, and would take the committed settings along.
            console.note(f"If you remove its record too, keep its settings: pulumi stack rm {stack} --preserve-config")
        if left:
            console.note(
                f"Left as it was: the volume {left} with all of Jenkins; the next `make up` uses it again.\n"
                f"To remove it for good: docker volume rm {left}"
            )
    return outcome.status


def outputs(workspace: Workspace, stack: str) -> dict[str, Any]:
    """A stack's outputs, those that are no secret."""
    resources = choice.resources(workspace.clone, stack) if workspace.owns_backend else []
    for resource in resources:
        if resource["type"] == "pulumi:pulumi:Stack":  # as the CLI would say, half a second sooner
            found: dict[str, Any] = resource.get("outputs") or {}
            return {name: value for name, value in found.items() if not _is_secret(value)}
    answered: dict[str, Any] = json.loads(run.answer(workspace, ["stack", "output", "--json", "--stack", stack]))
    return answered


def _is_secret(value: object) -> bool:
    return isinstance(value, dict) and "ciphertext" in value


def _consent(*, yes: bool) -> list[str]:
    """Where Pulumi can't ask, or is not to, it is told to go on."""
    return [] if not yes and console.may_ask() else ["--yes"]


def _say(workspace: Workspace, stack: str, outcome: Outcome) -> int:
    """Say what there is after an update. Returns 1 if the container is not well, else 0."""
    found = outputs(workspace, stack)
    ill = container_trouble(str(found.get("dockerHost") or ""), str(found.get("container") or ""))
    if ill:
        # A container that never became healthy is in the state all the same, and Pulumi sees nothing to change in it.
        console.note(f"\nStack {stack} is deployed, but {ill}.")
        _show_log(workspace.settings(stack))
        name = found["container"]
        console.note(f"See: docker logs {name}; make status. To make it anew: docker rm -f {name} && make up")
        return 1
    where = f": {found['url']}" if found.get("url") else ""
    if outcome.changed:
        console.note(f"\nStack {stack} is up ({_counts(outcome.changes)}){where}")
    else:
        console.note(f"\nNothing changed: stack {stack} is as its settings say{where}")
    for sentence in found.get("next") or []:
        console.note(f"- {sentence}")
    return 0


def container_trouble(host: str, name: str, *, starting_is_well: bool = True) -> str:
    """What is wrong with a container of a local engine, as the end of a sentence; empty if nothing is."""
    if not name or not host.startswith("unix://"):
        return ""
    try:
        status, seen = docker_engine.get(host, f"/containers/{name}/json")
    except OSError as failed:
        return f"the engine at {host} does not answer any more ({failed})"
    state: dict[str, Any] = seen["State"] if status == http.client.OK else {"Status": "gone"}
    if state.get("Status") != "running":
        return f"the container {name} is {state.get('Status')}"
    health = state.get("Health", {}).get("Status")
    ill = {"unhealthy"} if starting_is_well else {"unhealthy", "starting"}
    return f"the container {name} is {health}" if health in ill else ""


def _show_log(settings: dict[str, Any]) -> None:
    """Show how the log of a container that is not well ends: Jenkins says there why it does not start."""
    host = choice.docker_host(settings)
    name = str(stackfile.setting(settings, "ci:jenkins", "containerName", default="jenkins-server"))
    if not container_trouble(host, name, starting_is_well=False):
        return
    import docker

    try:
        lines = docker.DockerClient(base_url=host).containers.get(name).logs(tail=LOG_LINES)
    except docker.errors.DockerException:
        return  # There is no container, or no engine: Pulumi has said so.
    if lines:
        console.note(f"\nThe last lines of `docker logs {name}`:")
        console.note("".join(f"  | {line}\n" for line in lines.decode(errors="replace").splitlines()))


def _counts(changes: dict[str, int]) -> str:
    """`{"same": 4, "create": 1}` as "1 create, 4 same": what changed first."""
    order = sorted(changes.items(), key=lambda item: (item[0] in UNCHANGED, item[0]))
    return ", ".join(f"{count} {kind}" for kind, count in order)


def effective_settings(clone: Clone, stack: str) -> dict[str, Any]:
    """The stack's settings without a tool chain."""
    return stackfile.merge(read_yaml(clone.committed(stack)), read_yaml(clone.overlay(stack)))
