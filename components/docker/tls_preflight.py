"""Checks the certificates for an engine on TCP, and the engine's answer to them, before anything is made."""

import contextlib
import http.client
import shlex
import socket
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from cryptography import x509

from .. import certificates
from ..settings import Problem
from ..settings.problems import HIDDEN
from .tls import TIMEOUT_SECONDS, Endpoint, client, connection

_ANOTHER_AUTHORITY: Final = {18, 19, 20, 21}
"""OpenSSL's codes for a chain without a trusted end. Source: its x509_vfy.h, X509_V_ERR_."""

_OTHERS: Final = 0o077
"""The permissions of those who don't own a file."""


def preflight(endpoint: Endpoint, *, must_answer: bool = True) -> Iterator[Problem]:
    """Return what is wrong with the files, or with the engine's answer to them.

    must_answer: false if perhaps only another machine can reach the engine. No answer is then no problem.
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


def _key(endpoint: Endpoint, chain: Sequence[x509.Certificate]) -> Iterator[Problem]:
    path = endpoint.files.key_file
    if path is None:
        key, text = endpoint.secret_key, endpoint.secret.get_secret_value() if endpoint.secret else ""
    else:
        key = f"{endpoint.section}.keyFile"
        try:
            mode = Path(path).expanduser().stat().st_mode
            text = certificates.read(path)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            yield Problem(key, "bad_file", f"cannot be read ({reason})", "give the path of the key in PEM form", path)
            return
        if mode & _OTHERS:
            yield Problem(
                key,
                "bad_file",
                f"can be read by other users (mode {mode & 0o777:04o}), and gives them root on that host",
                f"run `chmod 600 {shlex.quote(path)}`, and replace the key if other users were there",
                path,
            )
    certificate = endpoint.files.certificate_file
    yield from certificates.pair(key, text, endpoint.secret_key, chain, certificate, shown=path or HIDDEN)


def _engine(endpoint: Endpoint, *, must_answer: bool) -> Iterator[Problem]:
    """Ask the engine twice: as Jenkins will, and without a certificate."""
    mine = client(endpoint)
    certificate = (f"{endpoint.section}.certificateFile", endpoint.files.certificate_file)
    try:
        context, stranger = mine.context(), mine.context(anonymous=True)
    except ssl.SSLError as error:
        instead = "give the client's own certificate first, and its authorities behind it"
        yield Problem(certificate[0], "bad_certificate", f"cannot be used ({_reason(error)})", instead, certificate[1])
        return
    try:
        _ping(endpoint, context)
    except ssl.SSLCertVerificationError as error:
        yield _misfit(endpoint, error)
    except _RefusedError as error:
        yield Problem(
            certificate[0],
            "bad_certificate",
            f"is refused by {endpoint.host} ({error})",
            "give one for clients (extendedKeyUsage clientAuth), signed by the authority of the engine's --tlscacert",
            certificate[1],
        )
    except ssl.SSLError as error:
        yield Problem(
            endpoint.host_key,
            "unreachable",
            f"has no TLS that is accepted here ({_reason(error)})",
            "start the engine with --tlsverify, --tlscacert, --tlscert and --tlskey",
            endpoint.host,
        )
    except (OSError, http.client.HTTPException) as error:
        if must_answer:
            yield Problem(
                endpoint.host_key,
                "unreachable",
                f"does not answer ({_reason(error)})",
                "check that an engine listens there, for example tcp://builder.example.org:2376, and that this machine "
                "can reach it",
                endpoint.host,
            )
    else:
        with contextlib.suppress(OSError, http.client.HTTPException):
            _ping(endpoint, stranger)
            yield Problem(
                endpoint.host_key,
                "not_confirmed",
                "answers without asking for a certificate, so anyone who reaches it has root on its host",
                "start the engine with --tlsverify and --tlscacert (CIS Docker Benchmark 2.7)",
                endpoint.host,
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
    """Return what is wrong with the certificate that an engine shows."""
    if error.verify_code in _ANOTHER_AUTHORITY:
        return Problem(
            f"{endpoint.section}.caFile",
            "bad_certificate",
            f"has not signed the certificate of {endpoint.host} ({error.verify_message})",
            "give the authority of the engine's own certificate, `ca.pem` on its host",
            endpoint.files.ca_file,
        )
    return Problem(
        endpoint.host_key,
        "bad_certificate",
        f"shows a certificate that does not fit ({error.verify_message.rstrip('.')})",
        "write the address as the certificate has it, or renew the certificate with this name in its subjectAltName",
        endpoint.host,
    )


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT_SECONDS} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
