"""`up`, `preview` and `down`: the prerequisites before Pulumi's own commands, and what there is after them."""

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ops import cluster, engine, recover
from ops.clone import STAND_IN, USUAL
from ops.stack import Stack, open_stack
from setup import console, process
from setup import engine as local_engine
from setup.console import OpsError

ROOM = 24
"""How many operations Pulumi may do at one time beside those that wait for a build."""

REFUSED = "the settings of stack "
"""How the program's own report begins. See components.settings.SettingsError."""


class Done(NamedTuple):
    """What one of Pulumi's deployment commands did."""

    status: int
    """Its exit status."""
    changes: dict[str, int]
    """The steps by kind, as `{"same": 4, "create": 1}`; empty if it did not get that far."""
    outputs: dict[str, Any]
    """The stack's outputs, secret ones masked; empty if the program did not get that far."""

    @property
    def changed(self) -> int:
        """How many steps changed something."""
        return sum(count for kind, count in self.changes.items() if kind not in {"same", "read", "refresh"})


def up(named: str | None, words: Sequence[str]) -> int:
    """Get the prerequisites, run `pulumi up`, and say what there is now. Returns an exit status."""
    from ops import backup  # noqa: PLC0415 - it imports this module

    consent = _consent("Deploy?", words)
    stack = _ready(named)
    on_docker = stack.settings.platform == "docker"
    if on_docker:
        local_engine.ensure(stack.settings.docker.host)
        stack = _with_images(stack, named)
    backup.before_up(stack)
    done = pulumi(stack, "up", [*consent, *words])
    # One that never became healthy is in the state all the same, and Pulumi sees nothing to change in it.
    ill = engine.show_ill(stack.settings, stack.clone.name, stack.name, starting=done.status != 0) if on_docker else []
    jobs: list[str] = []
    if done.status == 0:
        stack.clone.choose(stack.name)
        _say(stack, done)
        if done.outputs.get("jobs") and not ill:
            from ops import jenkins  # noqa: PLC0415 - imports Jenkins' client

            jobs = [each.told for each in jenkins.examine(stack, done.outputs) if each.mark == "BAD"]
        for job in jobs:
            console.note(f"But Jenkins does not have all of the stack's jobs. {job}")
        if ill:
            console.note(
                f"But {'; '.join(ill)}. See {stack.make('status')}. To make it anew: docker rm -f NAME, then update."
            )
    elif done.changes and not on_docker:
        console.note(
            f"\nStack {stack.name} is partly deployed. What was done stays, and the next `{stack.make('up')}` does the "
            f"rest: a build that failed runs again, the others do not. Details: {stack.make('status')}"
        )
    return done.status or int(bool(ill or jobs))


def _ready(named: str | None) -> Stack:
    """The stack, with the plugin that it needs, if its cluster answers."""
    stack = open_stack(named)
    if stack.platform == "kubernetes":
        cluster.require(stack)
    stack.get_plugins()
    return stack


def _answering(named: str | None) -> Stack:
    """The same, if its Docker engine is not silent."""
    stack = _ready(named)
    if stack.platform == "docker":
        try:
            settings = stack.settings
        except OpsError:
            return stack  # Pulumi says what is wrong, and takes down what is there
        engine.require_answer(settings)
    return stack


def _with_images(stack: Stack, named: str | None) -> Stack:
    """The stack whose images can be had: this one or, where none was named, the one with a stand-in for Jenkins.

    Raises OpsError when a stack was named whose images can't be had, or when a registry refuses them or is slow.
    """
    problem = engine.image_problem(stack.settings)
    if problem and stack.outputs():
        problem = ""  # it runs already, so it had its images
    if problem and (named is not None or not engine.unreachable(problem)):
        raise OpsError(
            f"Stack {stack.name} can't be deployed: {problem}.",
            f"{engine.remedy(problem)} Or try a stand-in that is not Jenkins: make up STACK=offline",
        )
    if problem:
        console.note(f"{problem}. Deploying stack {STAND_IN} instead, with a stand-in that is not Jenkins.")
        stack = _ready(STAND_IN)
    elif named is None and stack.name != USUAL:
        console.note(f"stack {stack.name}, as before; for Jenkins itself: make down, make up STACK={USUAL}")
    if stack.settings.jenkins.agents and engine.stands_in(stack.settings.jenkins.image or ""):
        remedy = "Remove ci:jenkins.agents, or name an image of Jenkins in ci:jenkins.image."
        raise OpsError(f"Stack {stack.name} has agents, and the stand-in for Jenkins has none.", remedy)
    stand_ins = [image for image in engine.images(stack.settings) if engine.stands_in(image)]
    host = stack.settings.docker.host
    if stand_ins and host.startswith("unix://"):  # another machine's engine is its owner's to fill
        process.offline("images", host, *stand_ins)
    return stack


def preview(named: str | None, words: Sequence[str]) -> int:
    """Show what `up` would change. Returns Pulumi's exit status."""
    stack = _answering(named)
    return pulumi(stack, "preview", ["--diff", *words]).status


def down(named: str | None, words: Sequence[str]) -> int:
    """Remove what a stack deployed, except its data, and say what is left. Returns Pulumi's exit status."""
    consent = _consent("Remove what is deployed?", words)
    stack = _answering(named)
    found = stack.outputs()
    done = pulumi(stack, "destroy", [*consent, *words])
    if done.status:
        return done.status
    if stack.name == STAND_IN:
        stack.clone.choose(USUAL)
    console.note(f"\nStack {stack.name} is down.")
    volumes = [name for name in (found.get("homeVolume"), *(found.get("retainedVolumes") or ())) if name]
    what, remove = "", ""
    if volumes:
        what, remove = ", ".join(volumes), f"docker volume rm {' '.join(volumes)}"
    elif stack.platform == "kubernetes" and done.changed:
        # By the settings, not the outputs: an update that failed has none, but has made the namespace.
        namespace = stack.settings.kubernetes.namespace
        what = f"the namespace {namespace} with the registry's volume"
        remove = f"{cluster.kubectl(stack)} delete namespace {namespace}"
    if what:
        console.note(f"What stays for the next `{stack.make('up')}`: {what}.\nTo remove it for good: {remove}")
    console.note(f"To remove its record too, and keep its settings: {stack.plain('stack rm --preserve-config')}")
    return 0


def pulumi(stack: Stack, verb: str, words: Sequence[str]) -> Done:
    """Run a command that deploys, with our terminal, and find out what it did from the engine's own account of it."""
    with tempfile.TemporaryDirectory(prefix="ci-events-") as folder:
        log = Path(folder) / "events"
        # The event log is how the Automation API learns what happened; the CLI shows the flag only when asked to.
        env = {"PULUMI_DEBUG_COMMANDS": "true"}
        if stack.platform == "kubernetes":
            # By itself Pulumi does four things at a time for each processor of this machine, and a build that the
            # cluster works on is one of them. The user's own --parallel comes before this.
            env["PULUMI_PARALLEL"] = str(ROOM + len(stack.settings.builds))
        status = stack.run(verb, "--event-log", str(log), *words, env=env)
        lines = log.read_text().splitlines() if log.exists() else []
    changes: dict[str, int] = {}
    outputs: dict[str, Any] = {}
    refused = ""
    for line in lines:
        if '"summaryEvent"' in line:
            changes = json.loads(line)["summaryEvent"].get("resourceChanges") or {}
        elif '"resOutputsEvent"' in line and '"type":"pulumi:pulumi:Stack"' in line:
            outputs = (json.loads(line)["resOutputsEvent"]["metadata"].get("new") or {}).get("outputs") or {}
        elif '"diagnosticEvent"' in line and REFUSED in line:
            refused = REFUSED + json.loads(line)["diagnosticEvent"]["message"].partition(REFUSED)[2]
    if refused:
        # Once more, since Pulumi prints the outputs of the whole stack behind it.
        raise stack.refused(re.sub(r"<\{%.*?%\}>", "", refused).strip())
    left = recover.remains(stack) if status else ""
    if left:
        console.note(f"\nStack {stack.name} has {left}. To repair it: make recover STACK={stack.name}")
    return Done(status, changes, outputs)


def _consent(question: str, words: Sequence[str]) -> list[str]:
    """Return what tells Pulumi to go on without a question. A preview would only double the time then.

    Raises OpsError, before anything is done, where nobody can be asked; `--skip-preview` is consent to Pulumi.
    """
    if not {"--skip-preview", "-f"} & {*words}:
        console.require_terminal(question)
    return ["--yes", "--skip-preview"] if console.yes() else []


def _say(stack: Stack, done: Done) -> None:
    """Say what there is after an update."""
    found = done.outputs
    now = f"Stack {stack.name} is up" if done.changed else f"Nothing changed: stack {stack.name} is up to date"
    console.note(f"\n{now}: {found['url']}" if found.get("url") else f"\n{now}")
    if found.get("registry"):
        console.note(f"  registry: {found['registry']}, user {found.get('registryUser')}")
    for name, image in (found.get("images") or {}).items():
        console.note(f"  image {name}: {image}")
    for sentence in found.get("next") or []:
        console.note(f"- {sentence}")
    if engine.stands_in(stack.settings.jenkins.image or ""):
        console.note("- What runs is a stand-in, not Jenkins: it has no log-in, and only `make sample` works.")
