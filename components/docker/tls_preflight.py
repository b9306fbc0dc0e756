"""Finds out what is wrong with the certificates for an engine on TCP, or with the engine, before anything is made."""

import contextlib
import http.client
import socket
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from components import certificates
from components.docker.tls import TIMEOUT_SECONDS, Endpoint, client, connection
from components.settings import Problem

if TYPE_CHECKING:
    from cryptography import x509

_ANOTHER_AUTHORITY: Final = {18, 19, 20, 21}
"""OpenSSL's codes for a chain that ends with nobody who is trusted. Source: its x509_vfy.h, X509_V_ERR_."""

_OTHERS: Final = 0o077
"""The permissions of those who don't own a file."""


def preflight(endpoint: Endpoint, *, must_answer: bool = True) -> Iterator[Problem]:
    """Give what is wrong with the files, or with the engine when it is asked by them.

    With `must_answer` false, an engine that can't be reached from here is taken as it is: only its own network may.
    """
    found = list(_files(endpoint))
    yield from found
    if not found:
        yield from _engine(endpoint, must_answer=must_answer)


def _files(endpoint: Endpoint) -> Iterator[Problem]:
    authority_key, certificate_key = f"{endpoint.section}.caFile", f"{endpoint.section}.certificateFile"
    authorities, problems = certificates.chain(authority_key, endpoint.files.ca_file)
    yield from problems
    for authority in authorities:
        yield from certificates.out_of_time(authority_key, endpoint.files.ca_file, authority)
    chain, problems = certificates.chain(certificate_key, endpoint.files.certificate_file)
    yield from problems
    if chain:
        yield from certificates.out_of_time(certificate_key, endpoint.files.certificate_file, chain[0])
    yield from _key(endpoint, chain)


def _key(endpoint: Endpoint, chain: Sequence["x509.Certificate"]) -> Iterator[Problem]:
    path = endpoint.files.key_file
    key = endpoint.secret_key if path is None else f"{endpoint.section}.keyFile"
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
        text = endpoint.secret.get_secret_value() if endpoint.secret else ""
    private = certificates.private_key(text)
    if private is None:
        yield Problem(
            key=key,
            **shown,
            wrong="is not a private key without passphrase in PEM form",
            instead=f"give it from its file: `pulumi config set --secret {endpoint.secret_key} < key.pem`",
        )
    elif chain and private.public_key() != chain[0].public_key():
        yield Problem(
            key=key,
            **shown,
            wrong=f"is not the key of the first certificate in {endpoint.files.certificate_file}",
            instead="give the key that belongs to it",
        )


def _engine(endpoint: Endpoint, *, must_answer: bool) -> Iterator[Problem]:
    """Ask the engine, once as Jenkins will and once as a stranger would."""
    mine = client(endpoint)
    try:
        context, stranger = mine.context(), mine.context(anonymous=True)
    except ssl.SSLError as error:
        yield Problem(
            key=f"{endpoint.section}.certificateFile",
            value=endpoint.files.certificate_file,
            wrong=f"can't be used ({_reason(error)})",
            instead="give the client's own certificate first, and its authorities behind it",
        )
        return
    try:
        _ping(endpoint, context)
    except ssl.SSLCertVerificationError as error:
        yield _misfit(endpoint, error)
        return
    except _RefusedError as error:
        yield Problem(
            key=f"{endpoint.section}.certificateFile",
            value=endpoint.files.certificate_file,
            wrong=f"is refused by {endpoint.host} ({error})",
            instead="give one that the engine's own --tlscacert has signed, for clients (extendedKeyUsage clientAuth)",
        )
        return
    except ssl.SSLError as error:
        yield Problem(
            key=endpoint.host_key,
            value=endpoint.host,
            wrong=f"speaks no TLS that is taken here ({_reason(error)})",
            instead="start the engine with --tlsverify, --tlscacert, --tlscert and --tlskey",
        )
        return
    except (OSError, http.client.HTTPException) as error:
        if must_answer:
            yield Problem(
                key=endpoint.host_key,
                value=endpoint.host,
                wrong=f"does not answer ({_reason(error)})",
                instead="see that an engine listens there, for example tcp://builder.example.org:2376, and can be "
                "reached from here",
            )
        return
    with contextlib.suppress(OSError, http.client.HTTPException):
        _ping(endpoint, stranger)
        yield Problem(
            key=endpoint.host_key,
            value=endpoint.host,
            wrong="answers without asking for a certificate, so whoever reaches it is root on its host",
            instead="start the engine with --tlsverify and --tlscacert (CIS Docker Benchmark 2.7)",
        )


class _RefusedError(OSError):
    """The engine does not take the client's certificate."""


def _ping(endpoint: Endpoint, context: ssl.SSLContext) -> None:
    """Ask for the least that an engine answers."""
    asking = connection(endpoint, context)
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


def _misfit(endpoint: Endpoint, error: ssl.SSLCertVerificationError) -> Problem:
    """Say what is wrong with the certificate that an engine shows."""
    if error.verify_code in _ANOTHER_AUTHORITY:
        return Problem(
            key=f"{endpoint.section}.caFile",
            value=endpoint.files.ca_file,
            wrong=f"has not signed the certificate of {endpoint.host} ({error.verify_message})",
            instead="give the authority of the engine's own certificate, as `ca.pem` on its host",
        )
    return Problem(
        key=endpoint.host_key,
        value=endpoint.host,
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
        return f"no word within {TIMEOUT_SECONDS} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
