"""The way to an engine that listens on TCP: by TLS, with a certificate on either side, or not at all.

A certificate, its authority and its key are looked at before anything is made, and the engine itself is asked.
"""

import contextlib
import http.client
import os
import socket
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from components import certificates
from components.settings import Problem, Settings
from components.settings.engines import TlsFiles

_TIMEOUT_SECONDS: Final = 10
"""How long an engine that is there may take for one word."""

_ANOTHER_AUTHORITY: Final = {18, 19, 20, 21}
"""OpenSSL's codes for a chain that ends with nobody who is trusted. Source: its x509_vfy.h, X509_V_ERR_."""

HOST_KEY: Final = "ci:dockerTlsKey"
JOBS_KEY: Final = "ci:tcpTlsKey"
"""The settings with the keys for the engine that Jenkins runs on, and for the one of its jobs."""

_OTHERS: Final = 0o077
"""The permissions of those who don't own a file."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """An engine that the settings name, and where they say by which certificates it is reached."""

    host: str
    """`tcp://name:port`."""

    host_key: str
    """The setting that names it, as typed."""

    section: str
    """The setting that the three files are in: `ci:docker.tls`."""

    secret_key: str
    """The setting that holds the key where no file does."""

    files: TlsFiles
    secret: SecretStr | None

    @property
    def address(self) -> tuple[str, int]:
        """Its name or address, and its port."""
        where = urlsplit(self.host)
        return where.hostname or "", where.port or 0


@dataclass(frozen=True, kw_only=True)
class Client:
    """What a client of an engine shows and trusts, in PEM."""

    ca: str
    certificate: str
    key: str = field(repr=False)

    def context(self, *, anonymous: bool = False) -> ssl.SSLContext:
        """Make the TLS context; `anonymous` shows no certificate. Raises ssl.SSLError for what OpenSSL can't use."""
        made = ssl.create_default_context(cadata=self.ca)
        if not anonymous:
            with _file(f"{self.certificate}\n{self.key}\n") as path:
                made.load_cert_chain(path)
        return made


@contextlib.contextmanager
def _file(text: str) -> Iterator[str]:
    """Give a path under which OpenSSL, which takes a key from files alone, reads this text. It never is on a disk."""
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


def host(settings: Settings) -> Place | None:
    """Give the engine that Jenkins runs on, where it is one that listens on TCP and its certificates are given."""
    docker = settings.docker
    if docker.tls is None or not docker.host.startswith("tcp://"):
        return None
    return at_host(docker.host, docker.tls, settings.docker_tls_key)


def at_host(address: str, files: TlsFiles, secret: SecretStr | None) -> Place:
    """Give the engine that Jenkins runs on by its parts."""
    return Place(
        host=address,
        host_key="ci:docker.host",
        section="ci:docker.tls",
        secret_key=HOST_KEY,
        files=files,
        secret=secret,
    )


def jobs(settings: Settings) -> Place | None:
    """Give the engine that `access: tcp` names."""
    tcp = settings.docker.tcp
    if tcp is None:
        return None
    return Place(
        host=tcp.host, host_key="ci:docker.tcp.host", section="ci:docker.tcp", secret_key=JOBS_KEY,
        files=tcp, secret=settings.tcp_tls_key,
    )  # fmt: skip


def client(place: Place) -> Client:
    """Read what the client shows and trusts. Raises OSError for a file that can't be read; `survey` says so first."""
    secret = place.secret
    key = secret.get_secret_value() if secret is not None else certificates.read(place.files.key_file or "")
    return Client(
        ca=certificates.read(place.files.ca_file),
        certificate=certificates.read(place.files.certificate_file),
        key=key,
    )


def survey(place: Place, *, must_answer: bool = True) -> Iterator[Problem]:
    """Give what is wrong with the files, or with the engine when it is asked by them.

    With `must_answer` false, an engine that can't be reached from here is taken as it is: only its own network may.
    """
    found = list(_files(place))
    yield from found
    if not found:
        yield from _engine(place, must_answer=must_answer)


def _files(place: Place) -> Iterator[Problem]:
    authority_key, certificate_key = f"{place.section}.caFile", f"{place.section}.certificateFile"
    authorities, problems = certificates.chain(authority_key, place.files.ca_file)
    yield from problems
    for authority in authorities:
        yield from certificates.out_of_time(authority_key, place.files.ca_file, authority)
    chain, problems = certificates.chain(certificate_key, place.files.certificate_file)
    yield from problems
    if chain:
        yield from certificates.out_of_time(certificate_key, place.files.certificate_file, chain[0])
    yield from _key(place, chain)


def _key(place: Place, chain: Sequence[object]) -> Iterator[Problem]:
    path = place.files.key_file
    key = place.secret_key if path is None else f"{place.section}.keyFile"
    shown = {} if path is None else {"value": path}
    if path is not None:
        try:
            mode = Path(path).expanduser().stat().st_mode
            text = certificates.read(path)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            yield Problem(
                key=key, **shown, wrong=f"can't be read ({reason})", instead="give the path of the key in PEM form"
            )
            return
        if mode & _OTHERS:
            yield Problem(
                key=key,
                **shown,
                wrong=f"can be read by others (mode {mode & 0o777:04o}), and it makes whoever has it root on that host",
                instead=f"close it (`chmod 600 {path}`), and make a new one if others were there",
            )
    else:
        text = place.secret.get_secret_value() if place.secret else ""
    private = certificates.private_key(text)
    if private is None:
        yield Problem(
            key=key,
            **shown,
            wrong="is not a private key without passphrase in PEM form",
            instead=f"give it from its file: `pulumi config set --secret {place.secret_key} < key.pem`",
        )
    elif chain and private.public_key() != chain[0].public_key():  # type: ignore[attr-defined]
        yield Problem(
            key=key,
            **shown,
            wrong=f"is not the key of the first certificate in {place.files.certificate_file}",
            instead="give the key that belongs to it",
        )


def _engine(place: Place, *, must_answer: bool) -> Iterator[Problem]:
    """Ask the engine, once as Jenkins will and once as a stranger would."""
    mine = client(place)
    try:
        context, stranger = mine.context(), mine.context(anonymous=True)
    except ssl.SSLError as error:
        yield Problem(
            key=f"{place.section}.certificateFile",
            value=place.files.certificate_file,
            wrong=f"can't be used ({_reason(error)})",
            instead="give the client's own certificate first, and its authorities behind it",
        )
        return
    try:
        _ping(place, context)
    except ssl.SSLCertVerificationError as error:
        yield _misfit(place, error)
        return
    except _RefusedError as error:
        yield Problem(
            key=f"{place.section}.certificateFile",
            value=place.files.certificate_file,
            wrong=f"is refused by {place.host} ({error})",
            instead="give one that the engine's own --tlscacert has signed, for clients (extendedKeyUsage clientAuth)",
        )
        return
    except ssl.SSLError as error:
        yield Problem(
            key=place.host_key,
            value=place.host,
            wrong=f"speaks no TLS that is taken here ({_reason(error)})",
            instead="start the engine with --tlsverify, --tlscacert, --tlscert and --tlskey",
        )
        return
    except (OSError, http.client.HTTPException) as error:
        if must_answer:
            yield Problem(
                key=place.host_key,
                value=place.host,
                wrong=f"does not answer ({_reason(error)})",
                instead="see that an engine listens there, for example tcp://builder.example.org:2376, and can be "
                "reached from here",
            )
        return
    with contextlib.suppress(OSError, http.client.HTTPException):
        _ping(place, stranger)
        yield Problem(
            key=place.host_key,
            value=place.host,
            wrong="answers without asking for a certificate, so whoever reaches it is root on its host",
            instead="start the engine with --tlsverify and --tlscacert (CIS Docker Benchmark 2.7)",
        )


class _RefusedError(OSError):
    """The engine does not take the client's certificate."""


def connection(place: Place, context: ssl.SSLContext) -> http.client.HTTPSConnection:
    """Give a connection to the engine. Nothing is sent yet."""
    name, port = place.address
    return http.client.HTTPSConnection(name, port, timeout=_TIMEOUT_SECONDS, context=context)


def _ping(place: Place, context: ssl.SSLContext) -> None:
    """Ask for the least that an engine answers."""
    asking = connection(place, context)
    try:
        asking.connect()
        try:
            asking.request("GET", "/_ping")
            answer = asking.getresponse()
            answer.read()
        except (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected) as error:
            # With TLS 1.3 the handshake is over before the engine has looked at the client's certificate.
            raise _RefusedError(_reason(error)) from error
    except ssl.SSLCertVerificationError:
        raise
    except ssl.SSLError as error:
        if "alert" in str(error).lower():
            raise _RefusedError(_reason(error)) from error
        raise
    finally:
        asking.close()
    if answer.status != http.client.OK:
        raise http.client.HTTPException(f"status {answer.status}")


def _misfit(place: Place, error: ssl.SSLCertVerificationError) -> Problem:
    """Say what is wrong with the certificate that an engine shows."""
    if error.verify_code in _ANOTHER_AUTHORITY:
        return Problem(
            key=f"{place.section}.caFile",
            value=place.files.ca_file,
            wrong=f"has not signed the certificate of {place.host} ({error.verify_message})",
            instead="give the authority of the engine's own certificate, as `ca.pem` on its host",
        )
    return Problem(
        key=place.host_key,
        value=place.host,
        wrong=f"shows a certificate that does not fit ({error.verify_message.rstrip('.')})",
        instead="write the engine's address as its certificate has it, or renew that with this name among its "
        "subjectAltName",
    )


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, TimeoutError):
        return f"no word within {_TIMEOUT_SECONDS} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
