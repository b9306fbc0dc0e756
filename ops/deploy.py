"""`up`, `preview` and `down`: what stands around Pulumi's own commands."""

# ruff: noqa: PLC0415 - imported late: what a quiet `make up` does not need is not to cost it time

from __future__ import annotations

import dataclasses
import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops import choice, cluster, container, local, run, stackfile
from ops.clone import Clone, here, read_yaml
from ops.local import Workspace
from ops.toolchain import console, docker_engine, plugins, toolchain

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROVIDERS = {"docker": [plugins.DOCKER], "kubernetes": [plugins.KUBERNETES]}
"""What a stack of each platform needs, so that nobody waits for the other one's plugin."""

ROOM = 24
"""How many operations Pulumi may do at one time beside those that wait for a build."""

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
    platform = stackfile.platform(effective_settings(clone, named or choice.remembered(clone)))
    wanted = _PROVIDERS.get(platform, plugins.PROVIDERS)
    return Workspace(clone, toolchain.ensure(providers=wanted))


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
        if status:
            from ops import recover

            left = recover.remains(workspace, stack)
            if left:
                console.note(f"\nStack {stack} has {left}. To put that right: make recover STACK={stack}")
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
    clone = here()
    settings = known_settings(clone, named)
    local.require_runner_token(settings, named or choice.remembered(clone))
    if stackfile.platform(settings) == "kubernetes":
        return _up_on_cluster(open_workspace(named), named or choice.remembered(clone), yes=yes, words=words)
    workspace = open_workspace(named)
    if stackfile.platform(settings) == "docker":
        docker_engine.ensure(choice.docker_host(settings))
    stack = choice.for_up(clone, named, settings)
    stand_ins = choice.stand_ins(workspace.settings(stack))
    host = choice.docker_host(workspace.settings(stack))
    if stand_ins and host.startswith("unix://"):  # another machine's engine is its owner's to fill
        from offline import images

        images.ensure(host, stand_ins)
    outcome = pulumi(workspace, "up", stack, [*_without_preview(yes=yes), *words])
    if outcome.status == 0:
        choice.came_up(clone, stack)
        return _say(workspace, stack, outcome)
    container.show_logs(workspace.settings(stack), clone.name, stack)
    return outcome.status


def _up_on_cluster(workspace: Workspace, stack: str, *, yes: bool, words: Sequence[str]) -> int:
    parallel = parallelism(workspace.settings(stack), words)
    # What matters of the outputs is said below. After a failed update Pulumi would show all of them as removed, though
    # it keeps them.
    quiet = ["--suppress-outputs"]
    outcome = pulumi(workspace, "up", stack, [*_without_preview(yes=yes), *quiet, *parallel, *words])
    if outcome.status == 0:
        return _say(workspace, stack, outcome)
    if outcome.changes:
        console.note(
            f"\nStack {stack} is not all up. What was done stays, and the next `make up STACK={stack}` does the rest: "
            f"a build that failed runs again, the others do not. All of it: make status STACK={stack}"
        )
    return outcome.status


def parallelism(settings: dict[str, Any], words: Sequence[str]) -> list[str]:
    """The option by which every build of a stack is waited for at the same time, unless the user gave it.

    By itself Pulumi does four things at a time for each processor of this machine, and a build that the cluster works
    on is one of them: on two processors the ninth build would not be handed over before the first is done.
    """
    # As Pulumi's flags are read: -p3, -p 3, --parallel 3, --parallel=3. No other short one has the letter.
    if any(re.match(r"-p|--parallel(=|$)", word) for word in words):
        return []
    return ["--parallel", str(ROOM + len(stackfile.setting(settings, "ci:builds", default=[])))]


def _without_preview(*, yes: bool) -> list[str]:
    # Where nobody is shown the preview to agree to, it only doubles the time. What is wrong in the settings is found by
    # the program before it registers anything, in an update as well.
    return [*_consent(yes=yes), "--skip-preview"] if _consent(yes=yes) else []


def preview(named: str | None, words: Sequence[str]) -> int:
    """Show what `up` would change. Returns Pulumi's exit status."""
    known_settings(here(), named)
    workspace = open_workspace(named)
    stack = named or choice.remembered(workspace.clone)
    return pulumi(workspace, "preview", stack, ["--diff", *words]).status


def down(named: str | None, *, yes: bool, words: Sequence[str]) -> int:
    """Remove what a stack deployed, except its data, and say what is left. Returns Pulumi's exit status."""
    settings = known_settings(here(), named)
    workspace = open_workspace(named)
    clone = workspace.clone
    stack = named or choice.remembered(clone)
    found = outputs(workspace, stack) if workspace.exists(stack) else {}
    volumes = [name for name in (found.get("homeVolume"), *(found.get("retainedVolumes") or ())) if name]
    outcome = pulumi(workspace, "destroy", stack, [*_consent(yes=yes), *words])
    if outcome.status == 0:
        if choice.remembered(clone) == stack:
            choice.forget(clone)
        console.note(f"\nStack {stack} is down.")
        if not words:
            # Pulumi's own advice lacks the option, and would take the committed settings along.
            console.note(f"If you remove its record too, keep its settings: pulumi stack rm {stack} --preserve-config")
        left = _left(clone, settings, volumes) if volumes or outcome.changed else ""
        if left:
            console.note(choice.with_stack(clone, stack, left))
    return outcome.status


def _left(clone: Clone, settings: dict[str, Any], volumes: Sequence[str]) -> str:
    """What a stack's end leaves behind, and how to remove that too."""
    if volumes:
        home, *others = volumes
        also = f", and {', '.join(others)} with what its own engine built" if others else ""
        them = "them" if others else "it"
        return (
            f"Left as {'they were' if others else 'it was'}: the volume {home} with all of Jenkins{also}; the next "
            f"`make up` uses {them} again.\nTo remove {them} for good: docker volume rm {' '.join(volumes)}"
        )
    if stackfile.platform(settings) != "kubernetes":
        return ""
    # By the settings, not the outputs: an update that never ended well has none, and made a namespace all the same.
    namespace = stackfile.setting(settings, "ci:kubernetes", "namespace", default="ci")
    return (
        f"Left as they were: the namespace {namespace} and in it the registry's volume with every image; the next "
        f"`make up` uses them again.\n"
        f"To remove them for good: {cluster.of(clone, settings).kubectl} delete namespace {namespace}"
    )


def known_settings(clone: Clone, named: str | None) -> dict[str, Any]:
    """The settings of the stack that a verb acts on, once it is sure that its cluster answers, if it has one.

    Raises:
        Trouble: when there is no such stack, or its cluster can't be reached. That is found before minutes go into a
            tool chain.
    """
    stack = named or choice.remembered(clone)
    clone.require(stack)
    settings = effective_settings(clone, stack)
    if stackfile.platform(settings) == "kubernetes":
        cluster.require(cluster.of(clone, settings), stack)
    return settings


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
    for name in containers(found):
        ill = container.trouble(str(found.get("dockerHost") or ""), name)
        if ill:
            # One that never became healthy is in the state all the same, and Pulumi sees nothing to change in it.
            console.note(f"\nStack {stack} is deployed, but {ill}.")
            container.show_log(str(found["dockerHost"]), name)
            advice = f"See: docker logs {name}; make status. To make it anew: docker rm -f {name} && make up"
            console.note(choice.with_stack(workspace.clone, stack, advice))
            return 1
    where = f": {found['url']}" if found.get("url") else ""
    if outcome.changed:
        console.note(f"\nStack {stack} is up ({_counts(outcome.changes)}){where}")
    else:
        console.note(f"\nNothing changed: stack {stack} is as its settings say{where}")
    if found.get("registry"):
        console.note(f"  registry: {found['registry']}, user {found.get('registryUser')}")
    for name, image in (found.get("images") or {}).items():
        console.note(f"  image {name}: {image}")
    for sentence in found.get("next") or []:
        console.note(f"- {sentence}")
    return 0


def containers(found: dict[str, Any]) -> list[str]:
    """The names of a Docker stack's containers by its outputs, in the order in which they need each other."""
    named = [*(found.get("sidecars") or {}).values(), found.get("container")]
    return [str(name) for name in named if name]


def _counts(changes: dict[str, int]) -> str:
    """`{"same": 4, "create": 1}` as "1 create, 4 same": what changed first."""
    order = sorted(changes.items(), key=lambda item: (item[0] in UNCHANGED, item[0]))
    return ", ".join(f"{count} {kind}" for kind, count in order)


def effective_settings(clone: Clone, stack: str) -> dict[str, Any]:
    """The stack's settings without a tool chain."""
    return stackfile.merge(read_yaml(clone.committed(stack)), read_yaml(clone.overlay(stack)))
