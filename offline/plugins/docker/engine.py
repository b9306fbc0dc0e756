"""The connection to a Docker engine: unix socket, TCP with TLS, or SSH."""

from __future__ import annotations

import os
import ssl
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..rpc import PluginError
from .schema import Fields, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import docker

CONFIG: Fields = {"host": text(), "caMaterial": text(), "certMaterial": text(), "keyMaterial": text()}
"""The provider's own settings."""

_DEFAULT_HOST = "unix:///var/run/docker.sock"
_SCHEMES = ("unix://", "tcp://", "ssh://")
# Seconds the engine may take for an answer that is not a wait, a pull or a build.
_ANSWER_SECONDS = 60
# Seconds that something may stay in use by a container that is being removed; the official plugin's number.
_REMOVE_SECONDS = 30


@dataclass(frozen=True)
class Connection:
    """How to reach the engine.

    Attributes:
        host: "unix:///path", "tcp://name:port" or "ssh://user@name".
        ca: the PEM text of the authority that signed the engine's certificate.
        cert: the PEM text of the client's certificate.
        key: the PEM text of its private key.
    """

    host: str
    ca: str = field(default="", repr=False)
    cert: str = field(default="", repr=False)
    key: str = field(default="", repr=False)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Connection:
        """Take the provider's settings, and the host of the environment where there is none."""
        host = settings.get("host") or os.environ.get("DOCKER_HOST") or _DEFAULT_HOST
        return cls(host, *(settings.get(name) or "" for name in ("caMaterial", "certMaterial", "keyMaterial")))

    def problems(self) -> list[tuple[str, str]]:
        """Give what is wrong, as (property, reason)."""
        found = []
        if not self.host.startswith(_SCHEMES):
            found.append(("host", f"{self.host!r} is not an engine's address: write unix://, tcp:// or ssh://"))
        texts = {"caMaterial": self.ca, "certMaterial": self.cert, "keyMaterial": self.key}
        missing = [name for name, value in texts.items() if not value]
        if 0 < len(missing) < len(texts):
            # Without the authority the official framework would trust any server.
            found.append((missing[0], "caMaterial, certMaterial and keyMaterial must all be given, or none"))
        return found

    def tls(self) -> docker.tls.TLSConfig | None:
        """Give what the SDK takes for TLS, or None when the connection has no certificates."""
        return _tls_configuration(self._context()) if self.cert else None

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.ca)
        # The key never touches a disk: OpenSSL reads it from memory that has a file's name.
        memory = os.memfd_create("client-certificate")
        try:
            os.write(memory, f"{self.cert}\n{self.key}\n".encode())
            context.load_cert_chain(f"/proc/self/fd/{memory}")
        finally:
            os.close(memory)
        return context


class Engine:
    """Clients of one engine, one per thread: a client's session must not be shared."""

    def __init__(self) -> None:
        """Start unconfigured."""
        self._connection = Connection("")
        self._version = "auto"
        self._clients = threading.local()
        self.cancelled = threading.Event()

    def configure(self, connection: Connection) -> None:
        """Connect. Raises PluginError, with what to do, when no engine answers."""
        self._connection, self._version, self._clients = connection, "auto", threading.local()
        self._version = str(self._connect().api_version)

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

        host = self._connection.host
        try:
            return docker.APIClient(
                base_url=host,
                version=self._version,
                timeout=_ANSWER_SECONDS,
                tls=self._connection.tls() or False,
                use_ssh_client=host.startswith("ssh://"),
            )
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


def _tls_configuration(context: ssl.SSLContext) -> docker.tls.TLSConfig:
    """Make the SDK use `context` as it is; of its own accord it takes certificates from files only."""
    from docker.tls import TLSConfig  # noqa: PLC0415
    from requests.adapters import DEFAULT_POOLSIZE, HTTPAdapter  # noqa: PLC0415

    class Configuration(TLSConfig):
        def configure_client(self, client: docker.APIClient) -> None:
            adapter = HTTPAdapter()
            adapter.init_poolmanager(1, DEFAULT_POOLSIZE, ssl_context=context)
            # requests would add every public authority to the context, and those of REQUESTS_CA_BUNDLE.
            adapter.cert_verify = lambda *_: None  # type: ignore[method-assign]
            client.trust_env = False
            client.mount("https://", adapter)

    return Configuration()


@contextmanager
def failing_as(what: str) -> Iterator[None]:
    """Turn what the engine refuses into an error that begins with `what`."""
    from docker.errors import APIError  # noqa: PLC0415

    try:
        yield
    except APIError as error:
        raise PluginError(f"{what}: {explain(error)}") from error


def found(look: Callable[[], Any]) -> dict[str, Any] | None:
    """Give what is found; None when it is not there."""
    from docker.errors import NotFound  # noqa: PLC0415

    try:
        return dict(look())
    except NotFound:
        return None


def explain(error: Exception) -> str:
    """Give what an engine's error says, without the request it answers."""
    return str(getattr(error, "explanation", None) or error)


def labels_to_map(labels: list[Mapping[str, str]] | None) -> dict[str, str]:
    """Turn [{label, value}] into {label: value}."""
    return {label["label"]: label["value"] for label in labels or ()}


def labels_to_list(labels: Mapping[str, str] | None) -> list[dict[str, str]]:
    """Turn {label: value} into [{label, value}], sorted."""
    return [{"label": label, "value": value} for label, value in sorted((labels or {}).items())]
