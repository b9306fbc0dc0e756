"""A resource provider built from resource types: the part of the protocol that no type has to know."""

from __future__ import annotations

import hashlib
import secrets
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from . import diff, refresh
from .rpc import Log, PluginError, Servicer, answering
from .schema import DEFAULTS, Failure, Fields, check
from .stubs import empty_pb2, grpc, plugin_pb2, provider_pb2, status_pb2
from .values import UNKNOWN, from_struct, to_struct

if TYPE_CHECKING:
    from collections.abc import Mapping

State = dict[str, Any]
_KINDS = {"add": 0, "delete": 2, "update": 4}  # PropertyDiff.Kind; one more when it replaces


@dataclass(frozen=True)
class Made:
    """A resource that exists.

    Attributes:
        id: its id.
        state: its properties.
        failures: why it is not as it should be (a container that was made, and does not start); the engine
            keeps such a resource in the state and tries again at the next update.
    """

    id: str
    state: State
    failures: list[str] = field(default_factory=list)


class ResourceType(ABC):
    """One type of resource. Every method may raise PluginError."""

    fields: ClassVar[Fields]
    # Whether a replacement removes the old resource first, whatever it is called.
    deletes_first: ClassVar[bool] = False
    # Whether a resource without `name` gets one from its Pulumi name, with a random end.
    autonamed: ClassVar[bool] = False
    meta: ClassVar[str] = ""

    def check(self, inputs: dict[str, Any], log: Log, urn: str) -> tuple[dict[str, Any], list[Failure]]:
        """Check inputs; return them with defaults, and all that is wrong with them."""
        del log, urn
        return check(self.fields, inputs)

    def compare(self, state: State, inputs: dict[str, Any]) -> diff.Differences:
        """Compare a recorded state with checked inputs."""
        return diff.compare(self.fields, state, diff.plan(self.fields, inputs, state))

    def preview(self, inputs: dict[str, Any], state: State | None) -> State:
        """Give the state that an update would leave, with `UNKNOWN` for what only the update can tell."""
        return diff.plan(self.fields, inputs, state)

    def inputs_of(self, inputs: dict[str, Any], state: State) -> dict[str, Any]:
        """Give the inputs that belong to a state that was just read."""
        return refresh.refreshed(self.fields, inputs, state) if inputs else refresh.imported(self.fields, state)

    @abstractmethod
    def create(self, planned: State, urn: str) -> Made:
        """Make the resource."""

    @abstractmethod
    def read(self, id_: str, state: State) -> Made | None:
        """Look at the resource, of which only the id is known when `state` is empty; None when it is gone."""

    @abstractmethod
    def update(self, id_: str, state: State, planned: State, urn: str) -> State:
        """Change the resource in place."""

    @abstractmethod
    def delete(self, id_: str, state: State) -> None:
        """Remove the resource; one that is gone already is no error."""


def _failures(found: list[Failure]) -> list[provider_pb2.CheckFailure]:
    return [provider_pb2.CheckFailure(property=one.path, reason=one.reason) for one in found]


def diff_response(found: diff.Differences, *, deletes_first: bool) -> provider_pb2.DiffResponse:
    """Say to the engine what changes."""
    if not found.paths:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE, hasDetailedDiff=True)
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME,
        replaces=found.replaces,
        diffs=found.properties,
        deleteBeforeReplace=bool(found.replaces) and deletes_first,
        detailedDiff={
            path: provider_pb2.PropertyDiff(kind=_KINDS[change] + int(replaces))  # type: ignore[arg-type]
            for path, (change, replaces) in found.paths.items()
        },
        hasDetailedDiff=True,
    )


class Provider(Servicer):
    """The ResourceProvider service over a set of resource types.

    It accepts no secrets: the engine opens them before a call, and seals the outputs of the same name after it.
    """

    version: ClassVar[str]

    def __init__(self, engine: str, types: Mapping[str, ResourceType], log: Log) -> None:
        """Serve `types` by their tokens ("docker:index/volume:Volume"); log to the Pulumi engine at `engine`."""
        self._log = log
        log.attach(engine)
        self._types = types

    def Handshake(self, request: provider_pb2.ProviderHandshakeRequest, _: grpc.ServicerContext) -> Any:
        """Learn where the engine listens."""
        self._log.attach(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse()

    def GetPluginInfo(self, _: empty_pb2.Empty, __: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Give the version of the plugin that this one stands in for."""
        return plugin_pb2.PluginInfo(version=self.version)

    @answering
    def Check(self, request: provider_pb2.CheckRequest, _: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        """Check a resource's inputs."""
        kind = self._type(request.urn)
        given = from_struct(request.news)
        named = kind.autonamed and given.get("name") is None
        if named:
            given["name"] = _name_for(request, from_struct(request.olds))
        inputs, failures = kind.check(given, self._log, request.urn)
        if named:
            inputs[DEFAULTS] = sorted([*inputs[DEFAULTS], "name"])
        return provider_pb2.CheckResponse(inputs=to_struct(inputs), failures=_failures(failures))

    @answering
    def Diff(self, request: provider_pb2.DiffRequest, _: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Say what the inputs would change."""
        kind = self._type(request.urn)
        news = from_struct(request.news)
        found = kind.compare(from_struct(request.olds), news)
        found.ignore(request.ignoreChanges)
        # Two resources cannot have one name: only a name that was made up is made up anew.
        fixed_name = kind.autonamed and "name" not in news.get(DEFAULTS, ())
        return diff_response(found, deletes_first=kind.deletes_first or fixed_name)

    @answering
    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:
        """Make a resource, or say what it would be."""
        kind = self._type(request.urn)
        inputs = from_struct(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=to_struct(kind.preview(inputs, None)))
        made = kind.create(_known(kind.preview(inputs, None)), request.urn)
        _end_if_failed(kind, made, inputs, context)
        return provider_pb2.CreateResponse(id=made.id, properties=_recorded(kind, made))

    @answering
    def Read(self, request: provider_pb2.ReadRequest, _: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        """Look at a resource."""
        kind = self._type(request.urn)
        made = kind.read(request.id, from_struct(request.properties))
        if made is None:
            return provider_pb2.ReadResponse()
        inputs = kind.inputs_of(from_struct(request.inputs), made.state)
        return provider_pb2.ReadResponse(id=made.id, properties=_recorded(kind, made), inputs=to_struct(inputs))

    @answering
    def Update(self, request: provider_pb2.UpdateRequest, _: grpc.ServicerContext) -> provider_pb2.UpdateResponse:
        """Change a resource in place, or say what it would be."""
        kind = self._type(request.urn)
        state = from_struct(request.olds)
        planned = kind.preview(from_struct(request.news), state)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=to_struct(planned))
        made = Made(request.id, kind.update(request.id, state, _known(planned), request.urn))
        return provider_pb2.UpdateResponse(properties=_recorded(kind, made))

    @answering
    def Delete(self, request: provider_pb2.DeleteRequest, _: grpc.ServicerContext) -> empty_pb2.Empty:
        """Remove a resource."""
        self._type(request.urn).delete(request.id, from_struct(request.properties))
        return empty_pb2.Empty()

    def _type(self, urn: str) -> ResourceType:
        token = urn.split("::")[2].rsplit("$", 1)[-1]
        kind = self._types.get(token)
        if kind is None:
            known = ", ".join(sorted(self._types))
            raise PluginError(f"the resource type {token} is not implemented by the bundled plugin; it knows {known}")
        return kind


def _name_for(request: provider_pb2.CheckRequest, olds: Mapping[str, Any]) -> str:
    """Give the recorded made-up name, or make one up: the Pulumi name and seven hexadecimal digits."""
    if "name" in olds.get(DEFAULTS, ()) and isinstance(olds.get("name"), str):
        return str(olds["name"])
    seed = request.randomSeed or secrets.token_bytes(16)
    name = request.urn.rsplit("::", 1)[-1]
    return f"{name}-{hashlib.sha256(seed + request.urn.encode()).hexdigest()[:7]}"


def _known(planned: State) -> State:
    """Turn what the engine is to fill in into nothing given."""
    return {name: _known_value(value) for name, value in planned.items()}


def _known_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _known_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_known_value(item) for item in value]
    return None if value is UNKNOWN else value


def _recorded(kind: ResourceType, made: Made) -> Any:
    state = dict(made.state)
    if kind.meta:
        state["__meta"] = kind.meta
    return to_struct(state)


def _end_if_failed(kind: ResourceType, made: Made, inputs: dict[str, Any], context: grpc.ServicerContext) -> None:
    """End the call as "made, but not as it should be", which the engine records with the resource."""
    if not made.failures:
        return
    detail = provider_pb2.ErrorResourceInitFailed(
        id=made.id, properties=_recorded(kind, made), reasons=made.failures, inputs=to_struct(inputs)
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message="; ".join(made.failures))
    status.details.add().Pack(detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, status.message)
