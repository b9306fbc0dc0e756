"""Asks a TLS server with a client's certificate, or without one, and tells how it was refused."""

import socket
import ssl
from http.client import HTTPException, HTTPSConnection
from pathlib import Path

from lab.pki import Pair


def refused(  # noqa: PLR0913 - all by keyword but the address
    host: str, port: int, *, ca: str, pair: Pair | None, name: str, folder: Path
) -> str:
    """Give why `GET /_ping` was refused, by either side; empty where it was answered.

    The server must have a certificate of `ca` for `name`. A server tells a client that it does not take its
    certificate only when the client reads, so a handshake that ended well says nothing yet.
    """
    context = ssl.create_default_context(cadata=ca)
    if pair is not None:
        context.load_cert_chain(*pair.write(folder, "asked"))
    connection = HTTPSConnection(host, port, timeout=10)
    try:
        connection.connect = lambda: None  # type: ignore[method-assign]
        connection.sock = _wrapped(context, host, port, name)
        connection.request("GET", "/_ping")
        answer = connection.getresponse()
        answer.read()
    except (OSError, HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()
    return "" if answer.status == 200 else f"status {answer.status}"


def _wrapped(context: ssl.SSLContext, host: str, port: int, name: str) -> ssl.SSLSocket:
    return context.wrap_socket(socket.create_connection((host, port), timeout=10), server_hostname=name)
