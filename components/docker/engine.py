"""Reads the Docker engine's API, over its unix socket or by TLS.

The docker SDK would do it too, but its import costs more than all else that a preview does here together (0.3 s on two
cores), and this needs a few GET requests.
"""

import http.client
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self
from urllib.parse import quote

_TIMEOUT_SECONDS: Final = 10
"""A listing of a busy engine takes well under a second; one that says nothing for this long is stuck."""


class EngineError(Exception):
    """The engine did not answer, or answered with an error. The text says which, and for what."""


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT_SECONDS)
        self.sock.connect(self._path)


class Engine:
    """A Docker engine that can be asked from here."""

    def __init__(self, name: str, connect: Callable[[], http.client.HTTPConnection]) -> None:
        """Take what it is called in messages, and what gives a connection. Nothing is opened before it is asked."""
        self._name, self._connect = name, connect

    @classmethod
    def at_socket(cls, path: str) -> Self:
        """Give the one that listens on a unix socket of this machine."""
        return cls(path, lambda: _SocketConnection(path))

    def containers(self) -> Sequence[Mapping[str, Any]]:
        """List all containers, stopped ones too, as `GET /containers/json?all=1` gives them."""
        found = self._get("/containers/json?all=1")
        return found if isinstance(found, list) else ()

    def volume(self, name: str) -> Mapping[str, Any] | None:
        """Give one volume as `GET /volumes/{name}` does, or None where there is none."""
        found = self._get(f"/volumes/{quote(name, safe='')}")
        return found if isinstance(found, dict) else None

    def network(self, name: str) -> Mapping[str, Any] | None:
        """Give one network as `GET /networks/{name}` does, or None where there is none of just this name."""
        found = self._get(f"/networks/{quote(name, safe='')}")
        # The engine takes the beginning of an id for a name too.
        return found if isinstance(found, dict) and found.get("Name") == name else None

    def _get(self, target: str) -> object:
        connection = self._connect()
        try:
            connection.request("GET", target)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise EngineError(f"{self._name} does not answer ({error})") from error
        finally:
            connection.close()
        if response.status == http.client.NOT_FOUND:
            return None
        if response.status != http.client.OK:
            raise EngineError(f"{self._name} answers {target} with {response.status} {response.reason}")
        return json.loads(body)
