"""Deploys the Kubernetes platform on the mock engine, and gives what it registered in plain shapes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from components import kubernetes, labels
from components.kubernetes import context, history
from tests.support.engine import STATE_CALL, Engine, unwrap
from tests.support.kubernetes_stack import FakeReader, settings

"""The engine's own function that gives a stack's last outputs."""

OUTPUTS = "test:outputs:Outputs"


@dataclass
class Deployed:
    """What one run of the program registered and put out."""

    engine: Engine
    reader: FakeReader

    @property
    def outputs(self) -> dict[str, Any]:
        """The stack's outputs by name, out of their secret envelopes; without those that are null."""
        return self[OUTPUTS]

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
    """Give the engine's answer of a state: with these outputs of the stack, each build's Job, and these namespaces.

    jobs: a Job's name, or that and its pod, or that and what decided it.
    """
    found: dict[str, Any] = {"urn:0": {"type": "pulumi:providers:kubernetes", "outputs": {}}}
    if outputs is not None:
        found["urn:1"] = {"type": "pulumi:pulumi:Stack", "outputs": dict(outputs)}
    for build, job in (jobs or {}).items():
        name, known = (job, {}) if isinstance(job, str) else job
        meta = {"name": name, "labels": {labels.BUILD: build}}
        pod = {"template": {"spec": known if isinstance(known, Mapping) else {}}}
        found[f"urn:{name}"] = {"type": "kubernetes:batch/v1:Job", "outputs": {"metadata": meta, "spec": pod}}
        if isinstance(known, str):
            found[f"urn:{build}"] = {"type": history.BUILD, "outputs": {"job": name, "decides": known}}
    for name in namespaces:
        found[f"urn:{name}"] = {
            "type": "kubernetes:core/v1:Namespace",
            "outputs": {"metadata": {"name": name}, "__inputs": [name, 1.0, 0.5]},
        }
    return {"outputs": found}


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

    # As the inputs of a component, the outputs are recorded like everything else.
    engine.run(lambda: pulumi.ComponentResource(OUTPUTS, OUTPUTS, dict(kubernetes.deploy(stack, made.reader))))
    return made
