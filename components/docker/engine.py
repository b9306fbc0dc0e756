"""Reads the Docker engine's API, over its unix socket or by TLS.

Not by the docker SDK: its import takes 0.3 s of a preview's 1.8 s (two cores), and preflight needs three GET requests.
"""

import http.client
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self
from urllib.parse import quote

_TIMEOUT_SECONDS: Final = 10
"""A busy engine lists its containers in under a second. One that is silent for this long is stuck."""


class EngineError(Exception):
    """The engine did not answer, or answered with an error."""


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT_SECONDS)
        self.sock.connect(self._path)


class Engine:
    """A Docker engine that this machine can reach."""

    def __init__(self, name: str, connect: Callable[[], http.client.HTTPConnection]) -> None:
        """Keep its name for messages, and what opens a connection."""
        self._name, self._connect = name, connect

    @classmethod
    def at_socket(cls, path: str) -> Self:
        """Return the engine that listens on a unix socket of this machine."""
        return cls(path, lambda: _SocketConnection(path))

    def platform(self) -> str:
        """Return what its images run on, as `linux/amd64`, from `GET /version`."""
        found = self._get("/version")
        return f"{found.get('Os')}/{found.get('Arch')}" if isinstance(found, dict) else ""

    def containers(self) -> Sequence[Mapping[str, Any]]:
        """List all containers, stopped ones too, as `GET /containers/json?all=1` gives them."""
        found = self._get("/containers/json?all=1")
        return found if isinstance(found, list) else ()

    def volume(self, name: str) -> Mapping[str, Any] | None:
        """Return a volume as `GET /volumes/{name}` gives it, or None."""
        found = self._get(f"/volumes/{quote(name, safe='')}")
        return found if isinstance(found, dict) else None

    def image_labels(self, image: str) -> Mapping[str, str]:
        """Return the labels of an image, which the containers that are made from it have too."""
        found = self._get(f"/images/{quote(image, safe=':')}/json")
        return (found.get("Config") or {}).get("Labels") or {} if isinstance(found, dict) else {}

    def network(self, name: str) -> Mapping[str, Any] | None:
        """Return a network as `GET /networks/{name}` gives it, or None if none has just this name."""
        found = self._get(f"/networks/{quote(name, safe='')}")
        # The engine also accepts the beginning of an id.
        return found if isinstance(found, dict) and found.get("Name") == name else None

    def has_file(self, volume: str, name: str) -> bool:
        """Return whether a file is right in a volume. Raise EngineError.

        It mounts the volume in a container that never runs, of an image without a file, and removes both.
        """
        image = str(self._ask("POST", "/images/create?fromSrc=-", bytes(1024)).get("status"))
        container = None
        try:
            mount = {"Type": "volume", "Source": volume, "Target": "/data"}
            content = {"Image": image, "Cmd": ["never"], "HostConfig": {"Mounts": [mount]}}
            container = self._ask("POST", "/containers/create", json.dumps(content).encode())["Id"]
            return self._ask("HEAD", f"/containers/{container}/archive?path={quote(f'/data/{name}')}") is not None
        finally:
            if container is not None:
                self._ask("DELETE", f"/containers/{container}?force=1")
            self._ask("DELETE", f"/images/{image}")

    def _get(self, target: str) -> object:
        return self._ask("GET", target)

    def _ask(self, method: str, target: str, body: bytes | None = None) -> Any:  # noqa: ANN401 - JSON
        connection = self._connect()
        try:
            connection.request(method, target, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise EngineError(f"{self._name} does not answer ({error})") from error
        finally:
            connection.close()
        if response.status == http.client.NOT_FOUND:
            return None
        if not http.client.OK <= response.status < http.client.MULTIPLE_CHOICES:
            raise EngineError(f"{self._name} answers {target} with {response.status} {response.reason}")
        return json.loads(text.splitlines()[-1]) if text else {}
