"""Connections to an engine on TCP: only by TLS, with a certificate on each side.

`tls_preflight` checks the files, and asks the engine, before anything is made with them.
"""

import contextlib
import http.client
import os
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from .. import certificates
from ..settings import Settings
from ..settings.engines import TlsFiles

TIMEOUT_SECONDS: Final = 10
"""How long an engine may take to answer."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """An engine that the settings name, and the settings with its certificates."""

    host: str
    """`tcp://name:port`."""

    host_key: str
    """The setting with its address, as typed."""

    section: str
    """The setting with the three files: `ci:docker.tls`."""

    secret_key: str
    """The setting with the key, if no file has it."""

    files: TlsFiles
    secret: SecretStr | None


@dataclass(frozen=True, kw_only=True)
class Client:
    """The certificates of an engine's client, in PEM."""

    ca: str
    certificate: str
    key: str = field(repr=False)

    def context(self, *, anonymous: bool = False) -> ssl.SSLContext:
        """Return the TLS context, without a certificate if `anonymous`. Raises ssl.SSLError if OpenSSL can't use it."""
        made = ssl.create_default_context(cadata=self.ca)
        if not anonymous:
            with _file(f"{self.certificate}\n{self.key}\n") as path:
                made.load_cert_chain(path)
        return made


@contextlib.contextmanager
def _file(text: str) -> Iterator[str]:
    """Yield a path under which OpenSSL, which only reads keys from files, finds this text. It is never on a disk."""
    if not hasattr(os, "memfd_create"):
        with tempfile.NamedTemporaryFile("w") as there:  # mode 0600
            there.write(text)
            there.flush()
            yield there.name
        return
    memory = os.memfd_create("client-certificate")
    try:
        os.write(memory, text.encode())
        yield f"/proc/self/fd/{memory}"
    finally:
        os.close(memory)


def host(settings: Settings) -> Endpoint | None:
    """Return the engine that Jenkins runs on, if it is on TCP and has certificates."""
    docker = settings.docker
    if docker.tls is None or not docker.host.startswith("tcp://"):
        return None
    return Endpoint(
        host=docker.host,
        host_key="ci:docker.host",
        section="ci:docker.tls",
        secret_key="ci:dockerTlsKey",  # noqa: S106 - a name
        files=docker.tls,
        secret=settings.docker_tls_key,
    )


def jobs(settings: Settings) -> Endpoint | None:
    """Return the engine that `access: tcp` names."""
    tcp = settings.docker.tcp
    if tcp is None:
        return None
    return Endpoint(
        host=tcp.host,
        host_key="ci:docker.tcp.host",
        section="ci:docker.tcp",
        secret_key="ci:tcpTlsKey",  # noqa: S106 - a name
        files=tcp,
        secret=settings.tcp_tls_key,
    )


def client(endpoint: Endpoint) -> Client:
    """Read what the client shows and trusts. Raises OSError for an unreadable file, which preflight reports first."""
    secret = endpoint.secret
    key = secret.get_secret_value() if secret is not None else certificates.read(endpoint.files.key_file or "")
    return Client(
        ca=certificates.read(endpoint.files.ca_file),
        certificate=certificates.read(endpoint.files.certificate_file),
        key=key,
    )


def connection(endpoint: Endpoint, context: ssl.SSLContext) -> http.client.HTTPSConnection:
    """Return a connection to the engine. Nothing is sent yet."""
    where = urlsplit(endpoint.host)
    return http.client.HTTPSConnection(where.hostname or "", where.port, timeout=TIMEOUT_SECONDS, context=context)
