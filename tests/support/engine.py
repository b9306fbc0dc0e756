"""Runs a Pulumi program without an engine, and refuses what the engine would refuse."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pulumi
from pulumi.output import Unknown
from pulumi.runtime import config as runtime_config
from pulumi.runtime import mocks, rpc
from pulumi.runtime import settings as root

from components import state
from components.docker.managed_names import OWNER

# After a program that failed, asyncio logs each output that nobody awaited, whenever it is collected as garbage. It
# reads the sources for that, and under Python 3.11 an `ast.parse` that another test is in fails then.
logging.getLogger("asyncio").setLevel(logging.CRITICAL)

STACK = "test"
PROJECT = "ci"
KEPT = "sha256:first-seen"
"""What every Stash has kept from an earlier update."""

STATE_CALL = "pulumi:pulumi:readStackResourceOutputs"
"""Asks for the resources of the last update. A test without another answer has had none."""

CLUSTER_IP = "10.96.0.7"
"""What every Service's address is."""


class Engine(mocks.MockMonitor, mocks.Mocks):
    """Records every registration with its options, which the SDK's mocks hide.

    By their names in the root component of this project's own program: `host` for `ci-host`. That each name begins with
    its root's, so that two roots have none in common, is checked here.
    """

    def __init__(self, *, preview: bool) -> None:
        """Take the place of the engine for what this test registers."""
        mocks.MockMonitor.__init__(self, self)
        self.requests: dict[str, Any] = {}
        self.finished: dict[str, Any] = {}
        """The outputs that each component has registered, by its name."""
        self.inputs: dict[str, dict[str, Any]] = {}
        self.preview = preview
        self.answers: dict[str, Any] = {STATE_CALL: {"outputs": {}}}
        self.hooks: list[str] = []
        self.urns: dict[str, str] = {}
        self.roots: dict[str, str] = {}
        """The name of the root component that each resource is in, by its URN."""
        self.volume_uid = "0c5e2d4e"
        """What the API server calls every volume claim that is made."""
        self._take_place()

    def _take_place(self) -> None:
        root.set_root_resource(None)  # type: ignore[arg-type] # else it keeps another run's transformations
        mocks.set_mocks(self, project=PROJECT, stack=STACK, preview=self.preview, monitor=self)

    def call(self, args: mocks.MockCallArgs) -> Any:
        assert args.token in self.answers, f"no test planned the provider call {args.token}"
        return self.answers[args.token]

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        name = inner_name(args.name)
        assert name not in self.inputs, f"two resources are named {args.name}"
        self.inputs[name] = args.inputs
        computed = {} if self.preview else self._computed(args.typ, name, args.inputs)
        return f"{args.name}-id", {**args.inputs, **computed}

    def RegisterErrorHook(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        self.hooks.append(inner_name(request.name))
        return super().RegisterErrorHook(request)  # type: ignore[no-untyped-call]

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        reply = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if request.type != "pulumi:pulumi:Stack":
            self.requests[inner_name(request.name)] = request
            self.urns[inner_name(request.name)] = reply.urn
        if request.type in {state.DOCKER_CI, state.KUBERNETES_CI}:
            self.roots[reply.urn] = request.name
        elif request.parent in self.roots:
            root = self.roots[reply.urn] = self.roots[request.parent]
            assert request.name.startswith(f"{root}-"), f"{request.name} is in {root}"
        return reply

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        self.finished[urn_name(request.urn)] = rpc.deserialize_properties(request.outputs, keep_unknowns=True)
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]

    def run(self, program: Callable[[], object]) -> None:
        """Run the program until its last registration has landed."""

        def quietly() -> None:
            program()

        self._take_place()  # another may have had it since
        pulumi.runtime.test(quietly)()  # type: ignore[no-untyped-call]

    def _computed(self, kind: str, name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Give the outputs that a provider would add, as far as the program reads them."""
        match kind.rpartition(":")[2]:
            case "PersistentVolumeClaim":
                return {"metadata": {**inputs["metadata"], "uid": self.volume_uid}}
            case "Job":
                return {"status": {"succeeded": 1}}
            case "Service":
                return {"spec": {**inputs["spec"], "clusterIP": CLUSTER_IP}}
            case "RemoteImage" | "Image":
                return {"imageId": "sha256:ready", "repoDigest": "sha256:built"}
            case "Stash":
                # The value of the first deployment, whatever the input is now; certificates must be some.
                kept = "first-owner" if name == OWNER else KEPT
                return {"output": unwrap(inputs["input"]) if isinstance(unwrap(inputs["input"]), Mapping) else kept}
        return {}


def is_secret(value: Any) -> bool:
    """Say whether a recorded input was sent as a secret."""
    return isinstance(value, Mapping) and value.get(rpc._special_sig_key) == rpc._special_secret_sig  # noqa: SLF001


def is_unknown(value: Any) -> bool:
    """Say whether a recorded input is one that only the update will know."""
    return isinstance(value, Unknown)


def unwrap(value: Any) -> Any:
    """Take a recorded input out of its secret envelope."""
    return value["value"] if is_secret(value) else value


def set_config(config: Mapping[str, str], secret: Sequence[str] = ()) -> None:
    """Give the program this config and no other; keys are full, as `ci:platform`."""
    runtime_config.set_all_config(dict(config), list(secret))


def urn_name(urn: str) -> str:
    """Give a resource's name from its URN, as the mock engine records it."""
    _, _, kind, name = urn.split("::", 3)
    return name if kind == "pulumi:pulumi:Stack" else inner_name(name)


def inner_name(name: str) -> str:
    """Give the name of a resource without that of this project's own root component."""
    return name.removeprefix(f"{state.NAME}-")
