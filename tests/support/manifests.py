"""Renders a stack of the Kubernetes platform: every object as the API server would be sent it."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from components import certificates
from tests.support import gitlab
from tests.support.engine import Engine, unwrap
from tests.support.kubernetes_platform import deploy
from tests.support.kubernetes_stack import PULL_PASSWORD, REGISTRY_PASSWORD
from tests.support.settings import RUNNER_TOKEN

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "ci:"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
"""No certificate: nothing that renders a stack reads it."""

STACKS = {
    path.name.split(".")[1]: keys
    for folder in ("stacks", "examples/stacks", "tests/registrations/stacks")
    for path in sorted(ROOT.glob(f"{folder}/Pulumi.*.yaml"))
    for keys in [{key.removeprefix(PREFIX): value for key, value in yaml.safe_load(path.read_text())["config"].items()}]
    if keys["platform"] == "kubernetes"
}
"""The settings of every stack on Kubernetes that is in the repository, by name."""

EVERYTHING, EVERY_BUILDER, LEAST = "kubernetes-everything", "kubernetes-builders", "kubernetes-least"
DAEMON = "kubernetes-buildkit"
AGAIN = "everything, again"
"""The stack that has everything, as an update makes it that finds its Jobs done."""

ALL = (*STACKS, AGAIN)
ON_PUSH = "kubernetes-push"
SCANNED = (*(name for name in STACKS if not name.startswith("kubernetes-")), EVERYTHING, LEAST, DAEMON, ON_PUSH)
"""Those for the slow scanners. The others have the same pods."""


@dataclass(frozen=True)
class Pod:
    """A pod that some object makes."""

    owner: str
    """The object: kind and name."""

    namespace: str
    metadata: Mapping[str, Any]
    spec: Mapping[str, Any]


@dataclass(frozen=True)
class Stack:
    """All of a stack's objects."""

    name: str
    objects: Sequence[Mapping[str, Any]]

    def of(self, kind: str) -> list[Mapping[str, Any]]:
        """Give the objects of a kind."""
        return [each for each in self.objects if each["kind"] == kind]

    def pods(self) -> Iterator[Pod]:
        """Give every pod that an object makes, with the metadata that it would have."""
        for each in self.objects:
            spec = each.get("spec", {})
            template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
            if template is not None:
                metadata = each["metadata"]
                yield Pod(
                    owner=f"{each['kind']} {metadata['name']}",
                    namespace=metadata["namespace"],
                    metadata=template.get("metadata", {}),
                    spec=template["spec"],
                )

    def jobs(self) -> Iterator[Pod]:
        """Give the pod of a job, where there is a GitLab Runner: it makes them, and no object of the stack does."""
        for each in self.of("Secret"):
            if "config.toml" in each["stringData"]:
                found = gitlab.config(each["stringData"]["config.toml"])
                namespace = found["runners"][0]["kubernetes"]["namespace"]
                yield Pod(owner="GitLab job", namespace=namespace, metadata={}, spec=gitlab.job_pod(found))

    def text(self) -> str:
        """Give all objects as one file that kubectl would take. JSON is YAML, too."""
        return "".join(f"---\n{json.dumps(each, indent=1)}\n" for each in self.objects)


def every_stack() -> dict[str, Stack]:
    """Render all of them, by name."""
    outputs: dict[str, Any] = {}
    found = {name: render(name, outputs=outputs if name == EVERYTHING else {}) for name in STACKS}
    return {**found, AGAIN: render(EVERYTHING, last=outputs)}


def render(name: str, *, last: Mapping[str, Any] | None = None, outputs: dict[str, Any] | None = None) -> Stack:
    """Render a stack.

    last: the outputs of the update before.
    outputs: is filled with the outputs of this one.
    """
    engine = Engine(preview=False)
    keys = {"registryPassword": REGISTRY_PASSWORD, "registryPullPassword": PULL_PASSWORD, **STACKS[name]}
    if "gitlabRunner" in keys:
        keys["gitlabRunnerToken"] = RUNNER_TOKEN
    with contextlib.chdir(ROOT), mock.patch.object(certificates, "read", return_value=CERTIFICATE):
        made = deploy(engine, last=last, **keys)
    if outputs is not None:
        outputs.update(made.outputs)
    found = [
        _object(request.type, engine.inputs[key])
        for key, request in engine.requests.items()
        if request.type.startswith("kubernetes:")
    ]
    return Stack(name, found)


def _object(token: str, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    sent: dict[str, Any] = _plain(inputs)
    # kubernetes:apps/v1:StatefulSet. The core group has a name in the token and none on the wire.
    group, kind = token.split(":")[1:]
    version = group.removeprefix("core/")
    given = str(sent["apiVersion"])
    short = f"{given.partition('/')[0].partition('.')[0]}/{given.partition('/')[2]}"
    assert (version in {given, short}, sent["kind"]) == (True, kind), token
    return sent


def _plain(value: Any) -> Any:
    bare = unwrap(value)
    if isinstance(bare, Mapping):
        return {key: _plain(part) for key, part in bare.items() if part is not None}
    if isinstance(bare, float) and bare.is_integer():
        # The engine's protocol has no whole numbers; the provider gives them back.
        return int(bare)
    return [_plain(part) for part in bare] if isinstance(bare, list) else bare
