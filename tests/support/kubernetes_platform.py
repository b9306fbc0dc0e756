"""Deploys the Kubernetes platform on the mock engine, and gives what it registered in plain shapes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components import kubernetes, labels
from components.kubernetes import context, history
from components.state import KUBERNETES_CI, NAME
from tests.support.engine import PROJECT, STACK, STATE_CALL, Engine, unwrap
from tests.support.kubernetes_stack import FakeReader, settings

URN = f"urn:pulumi:{STACK}::{PROJECT}::"


@dataclass
class Deployed:
    """What one run of the program registered and put out."""

    engine: Engine
    reader: FakeReader

    @property
    def outputs(self) -> dict[str, Any]:
        """The stack's outputs by name, out of their secret envelopes; without those that are null."""
        return {key: unwrap(value) for key, value in self.engine.finished[NAME].items() if value is not None}

    def __getitem__(self, name: str) -> dict[str, Any]:
        """Give a resource's inputs, out of their secret envelopes at the first level."""
        return {key: unwrap(value) for key, value in self.engine.inputs[name].items()}

    def noted(self) -> dict[str, tuple[str, str]]:
        """Give what the components of the builds note for the next update, by the build's name."""
        names = {
            name: name.removeprefix("build-") for name in self.engine.finished if f"{name}-job" in self.engine.inputs
        }
        finished = self.engine.finished
        return {build: (finished[name]["job"], finished[name]["decides"]) for name, build in names.items()}

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """Give the inputs of all resources of a kind, as `Job`, by name."""
        return {name: self[name] for name, request in self.engine.requests.items() if request.type.endswith(f":{kind}")}


def state(
    outputs: Mapping[str, Any] | None = None, jobs: Mapping[str, Any] | None = None, *namespaces: str
) -> dict[str, Any]:
    """Give the engine's answer of a state: with these outputs of the CI, each build's Job, and these namespaces.

    jobs: a Job's name, or that and its pod, or that and what decided it.
    """
    named: list[tuple[str, str, dict[str, Any]]] = [("pulumi:providers:kubernetes", "cluster", {})]
    for build, job in (jobs or {}).items():
        name, known = (job, {}) if isinstance(job, str) else job
        meta = {"name": name, "labels": {labels.BUILD: build}}
        pod = {"template": {"spec": known if isinstance(known, Mapping) else {}}}
        named.append(("kubernetes:batch/v1:Job", f"build-{build}-job", {"metadata": meta, "spec": pod}))
        if isinstance(known, str):
            named.append((history.BUILD, f"build-{build}", {"job": name, "decides": known}))
    for name in namespaces:
        outputs_of_it = {"metadata": {"name": name}, "__inputs": [name, 1.0, 0.5]}
        named.append(("kubernetes:core/v1:Namespace", f"namespace-{name}", outputs_of_it))
    found = {
        f"{URN}{KUBERNETES_CI}${kind}::{NAME}-{name}": {"type": kind, "outputs": left} for kind, name, left in named
    }
    root = {"type": KUBERNETES_CI, "outputs": dict(outputs or {})}
    return {"outputs": {f"{URN}{KUBERNETES_CI}::{NAME}": root, **found}}


def deploy(
    engine: Engine,
    reader: FakeReader | None = None,
    last: Mapping[str, Any] | None = None,
    jobs: Mapping[str, Any] | None = None,
    **keys: Any,
) -> Deployed:
    """Deploy a stack with these keys; `last` are the outputs of the update before, `jobs` those in its state."""
    context.forget()  # a test changes a folder and deploys it again
    engine.answers[STATE_CALL] = state(last, jobs)
    made = Deployed(engine, reader or FakeReader())
    made.reader.volume_uid = engine.volume_uid
    stack = settings(**keys)
    engine.run(lambda: kubernetes.KubernetesCi(NAME, stack, reader=made.reader))
    return made
