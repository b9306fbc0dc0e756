"""The connection to a Docker engine: unix socket, TCP with TLS, or SSH."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..rpc import PluginError, explain
from .schema import Field, Fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import docker

TLS = ("caMaterial", "certMaterial", "keyMaterial")
"""PEM texts: of the authority that signed the engine's certificate, of the client's certificate, of its private key."""
CONFIG: Fields = {"host": Field(required=True), **dict.fromkeys(TLS, Field())}
"""The provider's own settings."""

# Seconds the engine may take for an answer that is not a wait, a pull or a build.
_ANSWER_SECONDS = 60
# Seconds for its first answer. One that is silent for that long is stuck.
_FIRST_SECONDS = 10
# Seconds that something may stay in use by a container that is being removed; the official plugin's number.
_REMOVE_SECONDS = 30


class Engine:
    """Clients of one engine, one per thread: a client's session must not be shared."""

    def __init__(self) -> None:
        """Start unconfigured."""
        self._options: dict[str, Any] = {}
        self._clients = threading.local()
        self.cancelled = threading.Event()

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Connect. Raises PluginError, with what to do, when no engine answers."""
        host = settings["host"]
        self._options = {"base_url": host, "version": "auto", "use_ssh_client": host.startswith("ssh://")}
        self._options |= {"timeout": _FIRST_SECONDS, "tls": settings.get(TLS[0]) and _tls(settings)}
        self._options |= {"version": self._connect().api_version, "timeout": _ANSWER_SECONDS}

    @property
    def client(self) -> docker.APIClient:
        """This thread's client."""
        if not hasattr(self._clients, "client"):
            self._clients.client = self._connect()
        client: docker.APIClient = self._clients.client
        return client

    def image(self, name: str) -> dict[str, Any] | None:
        """Inspect an image by name or id; None when it is not there."""
        return found(lambda: self.client.inspect_image(name))  # type: ignore[no-untyped-call]

    def followed(self, events: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield what the engine tells while it pulls or builds. Raises PluginError when that fails or is cancelled."""
        for event in events:
            if self.cancelled.is_set() or "error" in event:
                raise PluginError(event.get("error", "the update was cancelled"))
            yield event

    def remove(self, what: str, action: Callable[[], object], *, busy: str) -> None:
        """Remove something, waiting for a container that is on its way out; what is gone already is no error.

        Args:
            what: what it is, for the error.
            action: removes it.
            busy: what the engine says, in lower case, while that goes on.
        """
        from docker.errors import APIError, NotFound  # noqa: PLC0415

        deadline = time.monotonic() + _REMOVE_SECONDS
        while True:
            try:
                action()
            except NotFound:
                return
            except APIError as error:
                in_use = busy in explain(error).lower()
                if not in_use or time.monotonic() > deadline or self.cancelled.wait(0.5):
                    raise PluginError(f"Unable to remove {what}: {explain(error)}") from error
            else:
                return

    def _connect(self) -> docker.APIClient:
        # Importing the SDK takes 0.15 s, which the plugin's start need not wait for.
        import docker.errors  # noqa: PLC0415

        import docker  # noqa: PLC0415

        host = self._options["base_url"]
        try:
            return docker.APIClient(**self._options)
        except (docker.errors.DockerException, OSError, ValueError) as error:
            advice = "start the engine (systemctl start docker), or set `host` to where it listens"
            if "ermission denied" in str(error):
                advice = "run as a user who may use it"
            raise PluginError(f"no Docker engine answers at {host}: {_cause(error)}; {advice}") from error


def _cause(error: BaseException) -> str:
    """Give the system's own word for a failure, from within the errors of three libraries around it."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror.lower()
        inner = inner.__cause__ or inner.__context__
    return str(error)


def _tls(settings: Mapping[str, Any]) -> docker.tls.TLSConfig:
    """Give what makes the SDK use texts instead of files, and trust no authority but that of the settings."""
    from docker.tls import TLSConfig  # noqa: PLC0415

    class Configuration(TLSConfig):
        def configure_client(self, client: docker.APIClient) -> None:
            super().configure_client(client)
            client.trust_env = False  # REQUESTS_CA_BUNDLE would take the authority's place

    # The key never touches a disk: these are files of memory. They stay open, since each connection reads them anew.
    files = [os.memfd_create(name) for name in TLS]
    for file, name in zip(files, TLS, strict=True):
        os.write(file, settings[name].encode())
    ca, certificate, key = (f"/proc/self/fd/{file}" for file in files)
    return Configuration(client_cert=(certificate, key), ca_cert=ca, verify=True)


@contextmanager
def failing_as(what: str) -> Iterator[None]:
    """Let an error of what the engine refuses begin with `what`."""
    from docker.errors import APIError  # noqa: PLC0415

    try:
        yield
    except (APIError, PluginError) as error:
        raise PluginError(f"{what}: {explain(error)}") from error


def found(look: Callable[[], Any]) -> dict[str, Any] | None:
    """Give what is found; None when it is not there."""
    from docker.errors import NotFound  # noqa: PLC0415

    try:
        return dict(look())
    except NotFound:
        return None


def labels_to_map(labels: list[Mapping[str, str]] | None) -> dict[str, str]:
    """Turn [{label, value}] into {label: value}."""
    return {label["label"]: label["value"] for label in labels or ()}


def labels_to_list(labels: Mapping[str, str] | None) -> list[dict[str, str]]:
    """Turn {label: value} into [{label, value}], sorted."""
    return [{"label": label, "value": value} for label, value in sorted((labels or {}).items())]
