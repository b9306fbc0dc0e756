"""The connection to a Docker engine: unix socket, TCP with TLS, or SSH."""

from __future__ import annotations

import os
import re
import ssl
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ..rpc import PluginError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import docker

DEFAULT_HOST = "unix:///var/run/docker.sock"
_SCHEMES = ("unix://", "tcp://", "ssh://")
# Seconds the engine may take for an answer that is not a wait, a pull or a build.
_ANSWER_SECONDS = 60
# Seconds that a volume or network may stay in use by a container that is being removed; the official plugin's number.
_REMOVE_SECONDS = 30
# The registry of an image name that names none, as the engine's clients write it.
_DEFAULT_REGISTRY = "registry-1.docker.io"


@dataclass(frozen=True)
class RegistryLogin:
    """A login to one registry."""

    address: str
    username: str
    password: str = field(repr=False)

    @property
    def host(self) -> str:
        """The registry's host, and port if there is one."""
        return re.sub(r"^https?://", "", self.address).split("/", 1)[0]


@dataclass(frozen=True)
class Connection:
    """How to reach the engine.

    Attributes:
        host: "unix:///path", "tcp://name:port" or "ssh://user@name".
        ca: the PEM text of the authority that signed the engine's certificate.
        cert: the PEM text of the client's certificate.
        key: the PEM text of its private key.
        cert_path: a folder with ca.pem, cert.pem and key.pem, instead of the three texts.
        logins: logins to registries that images are pulled from.
    """

    host: str = DEFAULT_HOST
    ca: str = field(default="", repr=False)
    cert: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    cert_path: str = ""
    logins: tuple[RegistryLogin, ...] = ()

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
        if len(missing) < len(texts) and self.cert_path:
            found.append(("certPath", "give certPath or caMaterial, certMaterial and keyMaterial, not both"))
        return found

    def tls(self) -> ssl.SSLContext | None:
        """Make the TLS context, or None when the connection has no certificates."""
        if self.cert_path:
            folder = Path(self.cert_path).expanduser()
            texts = [(folder / name).read_text(encoding="utf-8") for name in ("ca.pem", "cert.pem", "key.pem")]
        elif self.cert:
            texts = [self.ca, self.cert, self.key]
        else:
            return None
        context = ssl.create_default_context(cadata=texts[0])
        # The key never touches a disk: OpenSSL reads it from memory that has a file's name.
        memory = os.memfd_create("client-certificate")
        try:
            os.write(memory, f"{texts[1]}\n{texts[2]}\n".encode())
            context.load_cert_chain(f"/proc/self/fd/{memory}")
        finally:
            os.close(memory)
        return context


class Engine:
    """Clients of one engine, one per thread: a client's session must not be shared."""

    def __init__(self) -> None:
        """Start unconfigured."""
        self._connection: Connection | None = None
        self._version = ""
        self._clients = threading.local()
        self.cancelled = threading.Event()

    def configure(self, connection: Connection) -> None:
        """Connect, and fail with what to do when no engine answers."""
        self._connection = connection
        self._version = ""
        self._clients = threading.local()
        self._version = str(self.client().api_version)

    @property
    def connection(self) -> Connection:
        """How the engine is reached."""
        if self._connection is None:
            raise PluginError("the provider is not configured")
        return self._connection

    def client(self) -> docker.APIClient:
        """Give this thread's client."""
        client: docker.APIClient | None = getattr(self._clients, "client", None)
        if client is None:
            client = self._clients.client = self._connect()
        return client

    def inspect_image(self, name: str) -> dict[str, Any]:
        """Inspect an image by name or id; raise docker.errors.ImageNotFound when it is not there."""
        return dict(self.client().inspect_image(name))  # type: ignore[no-untyped-call]

    def remove(self, kind: str, id_: str, action: Callable[[], object], *, busy: str) -> None:
        """Remove something, waiting for a container that is on its way out; what is gone already is no error.

        Args:
            kind: what it is, for the error.
            id_: which, for the error.
            action: removes it.
            busy: what the engine says, in lower case, while a container still uses it.
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
                    raise PluginError(f"Unable to remove {kind} {id_}: {explain(error)}") from error
            else:
                return

    def login_for(self, image: str) -> dict[str, str] | None:
        """Give the login to the registry that an image name points at."""
        first, _, rest = image.partition("/")
        named = bool(rest) and (any(mark in first for mark in ".:") or first == "localhost")
        host = first if named else _DEFAULT_REGISTRY
        hub = {_DEFAULT_REGISTRY, "index.docker.io", "docker.io"}
        for login in self.connection.logins:
            if login.host == host or {login.host, host} <= hub:
                return {"username": login.username, "password": login.password}
        return None

    def _connect(self) -> docker.APIClient:
        # Importing the SDK takes 0.15 s, which the plugin's start need not wait for.
        import docker.errors  # noqa: PLC0415

        import docker  # noqa: PLC0415

        connection = self.connection
        try:
            context = connection.tls()
            return docker.APIClient(
                base_url=connection.host,
                version=self._version or "auto",
                timeout=_ANSWER_SECONDS,
                tls=tls_configuration(context) if context else False,
                use_ssh_client=connection.host.startswith("ssh://"),
            )
        except (docker.errors.DockerException, OSError, ValueError) as error:
            _no_engine(connection.host, error)


def _no_engine(host: str, error: Exception) -> NoReturn:
    path = host.removeprefix("unix://")
    if host.startswith("unix://") and not Path(path).exists():
        reason = f"there is no {path}"
        advice = "start the engine (systemctl start docker), or set `host` to the socket that it listens on"
    elif "ermission denied" in str(error):
        reason = "permission denied"
        advice = f"run as a user of the group that owns {path}" if host.startswith("unix://") else "check the login"
    else:
        reason = _cause(error)
        advice = "start the engine, or set `host` (docker:host, or Provider(host=...)) to where it listens"
    raise PluginError(f"no Docker engine answers at {host}: {reason}; {advice}") from error


def _cause(error: BaseException) -> str:
    """Give the system's own word for a failure, from within the errors of three libraries around it."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror.lower()
        inner = inner.__cause__ or inner.__context__
    return str(error)


def tls_configuration(context: ssl.SSLContext) -> docker.tls.TLSConfig:
    """Make the SDK use `context` as it is; of its own accord it takes certificates from files only."""
    from docker.tls import TLSConfig  # noqa: PLC0415
    from requests.adapters import HTTPAdapter  # noqa: PLC0415

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
            super().init_poolmanager(*arguments, ssl_context=context, **named)

        def cert_verify(self, *_: Any) -> None:
            """Leave the context alone: requests would add every public authority to it."""

    class Configuration(TLSConfig):
        def configure_client(self, client: docker.APIClient) -> None:
            client.mount("https://", Adapter())

    return Configuration()


def explain(error: Exception) -> str:
    """Give what an engine's error says, without the request it answers."""
    return str(getattr(error, "explanation", None) or error)


def labels_to_map(labels: list[Mapping[str, str]] | None) -> dict[str, str]:
    """Turn [{label, value}] into {label: value}."""
    return {label["label"]: label["value"] for label in labels or ()}


def labels_to_list(labels: Mapping[str, str] | None) -> list[dict[str, str]]:
    """Turn {label: value} into [{label, value}], sorted."""
    return [{"label": label, "value": value} for label, value in sorted((labels or {}).items())]
