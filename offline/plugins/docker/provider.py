"""The docker provider: its configuration, and the resource types it has."""

from __future__ import annotations

import json
import os
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from .. import diff
from ..provider import Provider, diff_response
from ..rpc import Log, PluginError, answering, serve
from ..schema import Fields, check, listing, record, text
from ..stubs import empty_pb2, grpc, provider_pb2, provider_pb2_grpc
from ..values import UNKNOWN, from_struct
from .container import Container
from .engine import DEFAULT_HOST, Connection, Engine, RegistryLogin
from .image import Image
from .network import Network
from .remote_image import RemoteImage
from .volume import Volume

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOGIN = {"address": text(required=True), "username": text(), "password": text()}
_CONFIG: Fields = {
    "host": text(),
    "caMaterial": text(),
    "certMaterial": text(),
    "keyMaterial": text(),
    "certPath": text(),
    "registryAuth": listing(record(_LOGIN)),
}
# The engine's own keys among a provider's inputs.
_ENGINE_KEYS = frozenset({"version", "pluginDownloadURL"})
_VARIABLES = {
    "host": "DOCKER_HOST",
    "caMaterial": "DOCKER_CA_MATERIAL",
    "certMaterial": "DOCKER_CERT_MATERIAL",
    "keyMaterial": "DOCKER_KEY_MATERIAL",
    "certPath": "DOCKER_CERT_PATH",
}


def _opened(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the engine's keys, and open lists, which a provider's configuration carries as JSON."""
    opened = {key: value for key, value in properties.items() if key not in _ENGINE_KEYS}
    logins = opened.get("registryAuth")
    if isinstance(logins, str):
        opened["registryAuth"] = json.loads(logins)
    return opened


def _connection(properties: Mapping[str, Any]) -> Connection:
    given = {name: properties.get(name) or os.environ.get(variable, "") for name, variable in _VARIABLES.items()}
    logins = [
        RegistryLogin(login["address"], login.get("username") or "", login.get("password") or "")
        for login in properties.get("registryAuth") or ()
    ]
    return Connection(
        host=given["host"] or DEFAULT_HOST,
        ca=given["caMaterial"],
        cert=given["certMaterial"],
        key=given["keyMaterial"],
        cert_path=given["certPath"],
        logins=tuple(logins),
    )


class DockerProvider(Provider):
    """Stands in for pulumi-resource-docker 5.2.0."""

    version: ClassVar[str] = "5.2.0"

    def __init__(self, engine_address: str) -> None:
        """Serve the Pulumi engine at `engine_address`."""
        log = Log()
        self._engine = Engine()
        types = {
            "docker:index/container:Container": Container(self._engine),
            "docker:index/image:Image": Image(self._engine, log),
            "docker:index/network:Network": Network(self._engine),
            "docker:index/remoteImage:RemoteImage": RemoteImage(self._engine),
            "docker:index/volume:Volume": Volume(self._engine),
        }
        super().__init__(engine_address, types, log)

    @answering
    def CheckConfig(self, request: provider_pb2.CheckRequest, _: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        """Check the provider's own settings; a provider that would trust any server is refused."""
        _, failures = check(_CONFIG, _opened(from_struct(request.news)))
        found = [provider_pb2.CheckFailure(property=one.path, reason=one.reason) for one in failures]
        if not found:
            given = {k: v for k, v in _opened(from_struct(request.news)).items() if v is not UNKNOWN}
            problems = _connection(given).problems()
            found = [provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in problems]
        return provider_pb2.CheckResponse(inputs=request.news, failures=found)

    @answering
    def DiffConfig(self, request: provider_pb2.DiffRequest, _: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Say which settings changed; none of them replaces the provider or its resources."""
        old, new = (_opened(from_struct(one)) for one in (request.olds, request.news))
        return diff_response(diff.compare(_CONFIG, old, new), deletes_first=False)

    @answering
    def Configure(
        self, request: provider_pb2.ConfigureRequest, _: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        """Connect to the engine."""
        connection = _connection(_opened(from_struct(request.args)))
        if problems := connection.problems():
            raise PluginError("; ".join(f"{name}: {reason}" for name, reason in problems))
        self._engine.configure(connection)
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Cancel(self, _: empty_pb2.Empty, __: grpc.ServicerContext) -> empty_pb2.Empty:
        """Stop every wait; what is being made is finished or reported as it is."""
        self._engine.cancelled.set()
        return empty_pb2.Empty()

    def stop(self) -> None:
        """Stop every wait before the process ends."""
        self._engine.cancelled.set()


def main() -> None:
    """Serve the engine named by the last argument."""
    addresses = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    provider = DockerProvider(addresses[-1] if addresses else "")
    add: Any = provider_pb2_grpc.add_ResourceProviderServicer_to_server
    # Loaded while the engine asks its first questions, none of which needs it.
    threading.Thread(target=partial(__import__, "docker"), daemon=True).start()
    serve(partial(add, provider), on_stop=provider.stop)
