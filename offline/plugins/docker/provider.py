"""The docker provider: its own settings, and the calls of the protocol for its resource types."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc  # type: ignore[import-untyped,unused-ignore]
from google.protobuf import empty_pb2  # type: ignore[import-untyped,unused-ignore]
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from ..rpc import OPTIONS, PluginError, answering, engine_address, serve
from .container import Container
from .engine import CONFIG, TLS, Engine
from .image import Image
from .named import Network, Volume
from .remote_image import RemoteImage
from .resource import Made, ResourceType, Say
from .schema import check
from .values import UNKNOWN, from_struct, to_struct

_VERSION = "5.2.0"
# The engine's own keys among a provider's inputs.
_ENGINE_KEYS = ("version", "pluginDownloadURL")


class DockerProvider:
    """Stands in for pulumi-resource-docker.

    It accepts no secrets: the engine opens them before a call, and seals the outputs of the same name after it.
    """

    def __init__(self, address: str) -> None:
        """Serve the Pulumi engine at `address`."""
        self._log = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address, options=OPTIONS))  # type: ignore[no-untyped-call,unused-ignore]
        self._engine = Engine()
        self.stop = self._engine.cancelled.set
        # Loaded while the engine asks its first questions. Two threads that import parts of one package may both fail.
        self._loading = threading.Thread(target=partial(__import__, "docker"), daemon=True)
        self._loading.start()
        self._types: dict[str, ResourceType] = {
            "docker:index/container:Container": Container(self._engine),
            "docker:index/image:Image": Image(self._engine),
            "docker:index/network:Network": Network(self._engine),
            "docker:index/remoteImage:RemoteImage": RemoteImage(self._engine),
            "docker:index/volume:Volume": Volume(self._engine),
        }

    def __getattr__(self, call: str) -> Callable[[Any, grpc.ServicerContext], None]:
        """Give what refuses a call that is not implemented, and writes no traceback into the user's log."""
        if not call[:1].isupper():
            raise AttributeError(call)
        text = f"{call} is not implemented by the bundled plugin: use the official one"
        return lambda _, context: context.abort(grpc.StatusCode.UNIMPLEMENTED, text)

    def GetPluginInfo(self, _: empty_pb2.Empty, __: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Give the version of the plugin that this one stands in for."""
        return plugin_pb2.PluginInfo(version=_VERSION)

    @answering
    def CheckConfig(self, request: provider_pb2.CheckRequest, _: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        """Check the provider's own settings; a provider that would trust any server is refused."""
        given = {key: value for key, value in from_struct(request.news).items() if key not in _ENGINE_KEYS}
        _inputs, failures = check(CONFIG, given)
        missing = [name for name in TLS if not given.get(name)]
        if 0 < len(missing) < len(TLS):
            # Without the authority the official framework would trust any server.
            reason = f"{', '.join(TLS)} must all be given, or none"
            failures.append(provider_pb2.CheckFailure(property=missing[0], reason=reason))
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    @answering
    def DiffConfig(self, request: provider_pb2.DiffRequest, _: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Name the provider's own settings that change. What follows from that, the program decides."""
        olds, news = from_struct(request.olds), from_struct(request.news)
        found = [name for name in sorted({*olds, *news}) if olds.get(name) != news.get(name)]
        changes = provider_pb2.DiffResponse.DIFF_SOME if found else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=changes, diffs=found)

    @answering
    def Configure(
        self, request: provider_pb2.ConfigureRequest, _: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        """Connect to the engine."""
        self._loading.join()
        self._engine.configure(from_struct(request.args))
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    @answering
    def Check(self, request: provider_pb2.CheckRequest, _: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        """Check a resource's inputs."""
        inputs, failures = self._type(request.urn).check(from_struct(request.news))
        return provider_pb2.CheckResponse(inputs=to_struct(inputs), failures=failures)

    @answering
    def Diff(self, request: provider_pb2.DiffRequest, _: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Say what the inputs would change. The engine itself derives what changes within a property."""
        kind = self._type(request.urn)
        found = kind.compare(from_struct(request.olds), from_struct(request.news))
        # The engine itself ignores changes of inputs; this is for a state that differs from its inputs.
        found = {name: change for name, change in found.items() if name not in request.ignoreChanges}
        replaces = [name for name in found if kind.fields[name].replaces]
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if found else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=list(found),
            replaces=replaces,
            deleteBeforeReplace=bool(replaces) and kind.deletes_first,
            # The kind that replaces is one more than the one that does not.
            detailedDiff={
                name: provider_pb2.PropertyDiff(kind=change + (name in replaces))  # type: ignore[arg-type]
                for name, change in found.items()
            },
            hasDetailedDiff=True,
        )

    @answering
    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:
        """Make a resource, or say what it would be."""
        kind = self._type(request.urn)
        inputs = from_struct(request.properties)
        if request.preview:
            planned = kind.plan(inputs, dict.fromkeys(kind.fields, UNKNOWN))
            return provider_pb2.CreateResponse(properties=to_struct(planned))
        made = kind.create(kind.plan(inputs, {}), self._say(request.urn))
        if made.failures:
            _end_with_failures(kind, made, request.properties, context)
        return provider_pb2.CreateResponse(id=made.id, properties=_recorded(kind, made))

    @answering
    def Read(self, request: provider_pb2.ReadRequest, _: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        """Look at a resource."""
        kind, state = self._type(request.urn), from_struct(request.properties)
        if not state:
            raise PluginError(f"{request.id} cannot be imported by the bundled plugin: use the official one")
        made = kind.read(request.id, state)
        if made is None:
            return provider_pb2.ReadResponse()
        inputs = kind.refreshed(from_struct(request.inputs), made.state)
        return provider_pb2.ReadResponse(id=made.id, properties=_recorded(kind, made), inputs=to_struct(inputs))

    @answering
    def Update(self, request: provider_pb2.UpdateRequest, _: grpc.ServicerContext) -> provider_pb2.UpdateResponse:
        """Change a resource in place, or say what it would be."""
        kind = self._type(request.urn)
        state = from_struct(request.olds)
        planned = kind.plan(from_struct(request.news), state)
        if not request.preview:
            planned = kind.update(request.id, state, planned, self._say(request.urn))
        return provider_pb2.UpdateResponse(properties=_recorded(kind, Made(request.id, planned)))

    @answering
    def Delete(self, request: provider_pb2.DeleteRequest, _: grpc.ServicerContext) -> empty_pb2.Empty:
        """Remove a resource."""
        self._type(request.urn).delete(request.id, from_struct(request.properties))
        return empty_pb2.Empty()

    def Cancel(self, _: empty_pb2.Empty, __: grpc.ServicerContext) -> empty_pb2.Empty:
        """Stop every wait; what is being made is finished or reported as it is."""
        self.stop()
        return empty_pb2.Empty()

    def _type(self, urn: str) -> ResourceType:
        self._loading.join()
        token = urn.split("::")[2].rsplit("$", 1)[-1]
        kind = self._types.get(token)
        if kind is None:
            known = ", ".join(sorted(self._types))
            raise PluginError(
                f"{token} is not implemented by the bundled plugin, which knows {known}; use the official one"
            )
        return kind

    def _say(self, urn: str) -> Say:
        """Give what shows a line; a lost line is no failure of the operation."""

        def say(line: str) -> None:
            request = engine_pb2.LogRequest(severity=engine_pb2.INFO, message=line, urn=urn, ephemeral=True)
            try:
                self._log.Log(request, timeout=5)
            except grpc.RpcError:
                return

        return say


def _recorded(kind: ResourceType, made: Made) -> Any:
    return to_struct({**made.state, "id": made.id, **({"__meta": kind.meta} if kind.meta else {})})


def _end_with_failures(kind: ResourceType, made: Made, inputs: Any, context: grpc.ServicerContext) -> None:
    """End the call as "made, but not as it should be", which the engine records with the resource."""
    detail = provider_pb2.ErrorResourceInitFailed(
        id=made.id, properties=_recorded(kind, made), reasons=made.failures, inputs=inputs
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message="; ".join(made.failures))
    status.details.add().Pack(detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, status.message)


def main() -> None:
    """Serve the engine that started this process."""
    provider = DockerProvider(engine_address())
    add: Any = provider_pb2_grpc.add_ResourceProviderServicer_to_server
    serve(partial(add, provider), on_stop=provider.stop)
