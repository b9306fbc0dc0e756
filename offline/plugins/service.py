"""What every resource provider's service has: the handshake, the version, and how a half-made resource is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from .rpc import Log, Servicer
from .stubs import empty_pb2, grpc, plugin_pb2, provider_pb2, status_pb2
from .values import to_struct

if TYPE_CHECKING:
    from collections.abc import Mapping


class Service(Servicer):
    """The calls of the ResourceProvider service that are the same for every provider."""

    version: ClassVar[str]

    def __init__(self, engine: str, log: Log) -> None:
        """Log to the Pulumi engine at `engine` ("127.0.0.1:port", or "" until the handshake tells it)."""
        self._log = log
        log.attach(engine)

    def Handshake(self, request: provider_pb2.ProviderHandshakeRequest, _: grpc.ServicerContext) -> Any:
        """Learn where the engine listens."""
        self._log.attach(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse()

    def GetPluginInfo(self, _: empty_pb2.Empty, __: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Give the version of the plugin that this one stands in for."""
        return plugin_pb2.PluginInfo(version=self.version)


def token_of(urn: str) -> str:
    """Give the type token of a resource: "docker:index/volume:Volume"."""
    return urn.split("::")[2].rsplit("$", 1)[-1]


def name_in(urn: str) -> str:
    """Give a resource's Pulumi name."""
    return urn.rsplit("::", 1)[-1]


def end_half_made(  # noqa: PLR0913 (what the engine records of a resource)
    context: grpc.ServicerContext,
    id_: str,
    properties: Any,
    reasons: list[str],
    *,
    inputs: Mapping[str, Any] | None = None,
    message: str = "",
) -> NoReturn:
    """End a call as "it is there, but not as it should be": the engine records the resource with the reasons.

    Args:
        context: the call.
        id_: the resource's id.
        properties: its state, as a Struct.
        reasons: why it is not as it should be, for the user.
        inputs: its inputs, where the engine should record others than those it sent.
        message: the call's error; the reasons when empty.
    """
    recorded = None if inputs is None else to_struct(dict(inputs))
    detail = provider_pb2.ErrorResourceInitFailed(id=id_, properties=properties, reasons=reasons, inputs=recorded)
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=message or "; ".join(reasons))
    status.details.add().Pack(detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, status.message)
    raise AssertionError  # abort always raises; this tells the type checker so
