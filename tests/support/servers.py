"""Servers in the test's own process that end with their block: git over HTTP, files, and whatever a test answers.

A server for the lab's pods listens on the machine's end of the lab's wire, `Lab.host_address`, where every pod reaches
it. With a certificate of the lab's authority (`Lab.certificate`) it speaks TLS.
"""

import os
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from pytest_httpserver.httpserver import HTTPServerBase
from werkzeug import Request, Response
from werkzeug.datastructures import Headers
from werkzeug.utils import redirect, send_from_directory

Answer = Callable[[Request], Response]
Certificate = tuple[Path, Path]
"""The files of a certificate and of its key."""


class _Server(HTTPServerBase):
    answer: Answer

    def dispatch(self, request: Request) -> Response:
        return self.answer(request)

    def thread_target(self) -> None:
        assert self.server is not None
        self.server.socket.listen(512)  # one test connects as often as a proxy ever does
        self.server.serve_forever(poll_interval=0.01)  # a test starts several, and each takes this long to end


class _Patient(ssl.SSLContext):
    """Shakes hands in a connection's own thread: else one client that is silent keeps all others waiting."""

    def wrap_socket(self, *args: Any, **keys: Any) -> ssl.SSLSocket:
        return super().wrap_socket(*args, **{**keys, "do_handshake_on_connect": False})


@contextmanager
def serving(
    answer: Answer, address: str = "127.0.0.1", *, certificate: Certificate | None = None, clients: str | None = None
) -> Iterator[str]:
    """Serve on a free port of an address, or on a socket, `unix:///path`; give the URL, without a slash at the end.

    answer: gives the response to each request; each connection has a thread of its own. certificate: for TLS. clients:
    the authority of the clients that are taken, in PEM; by default anybody is.
    """
    context = None
    if certificate:
        context = _Patient(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=clients)
    server = _Server(address, 0, ssl_context=context, threaded=True)
    server.answer = answer
    with server:
        yield f"http{'s' if certificate else ''}://{address}:{server.port}"


def file(folder: Path, request: Request) -> Response:
    """Give the file of a folder that is asked for as it is: what is told to be encoded, clients would unpack."""
    kind = "application/octet-stream"
    return send_from_directory(folder, request.path.lstrip("/"), request.environ, mimetype=kind)


def files(folder: Path, address: str, certificate: Certificate) -> AbstractContextManager[str]:
    """Serve a folder's files."""
    return serving(lambda request: file(folder, request), address, certificate=certificate)


def sending_to(url: str) -> AbstractContextManager[str]:
    """Serve nothing but redirects to the same path of another server."""
    return serving(lambda request: redirect(f"{url}{request.full_path}", 301))


def git(
    folder: Path, address: str, *, login: tuple[str, str] | None = None, certificate: Certificate | None = None
) -> AbstractContextManager[str]:
    """Serve a folder's git repositories, to be read: `<url>/<repository's folder>`.

    login: the user and the password that are asked for.
    """
    own = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(folder), "GIT_HTTP_EXPORT_ALL": "1"}
    # The repositories belong to whoever made them for the test, which git is told to bear.
    command = ["git", "-c", "safe.directory=*", "http-backend"]

    def answer(request: Request) -> Response:
        who = request.authorization
        if login and (who is None or (who.username, who.password) != login):
            return Response(status=401, headers={"WWW-Authenticate": 'Basic realm="lab"'})
        asked = {key: value for key, value in request.environ.items() if isinstance(value, str)}
        done = subprocess.run(
            command, input=request.get_data(), stdout=subprocess.PIPE, env={**asked, **own}, timeout=60, check=False
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = Headers(tuple(line.split(": ", 1)) for line in head.decode().splitlines())  # type: ignore[misc]
        return Response(body, headers.pop("Status", None), headers)

    return serving(answer, address, certificate=certificate)
