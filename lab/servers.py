"""Servers for a test's contexts: git over HTTP, and files. Each runs in the test's own process and ends with its block.

They listen on the machine's end of the lab's wire, `Lab.host_address`, where every pod reaches them, on a free port.
With a certificate of the lab's authority (`Lab.certificate`) they speak TLS.
"""

import base64
import contextlib
import dataclasses
import functools
import hmac
import http.server
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote, urlsplit

GIT_SECONDS = 60
LARGEST = 64 * 2**20
"""The most bytes of a request that the git server takes; a fetch sends a few hundred."""


@dataclasses.dataclass(frozen=True)
class Login:
    """A user and a password, which the server asks for by HTTP's basic scheme."""

    user: str
    password: str

    def matches(self, header: str | None) -> bool:
        """Whether an Authorization header is this user's."""
        wanted = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return hmac.compare_digest(f"Basic {wanted}".encode(), (header or "").encode())


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Files of one folder, for whoever has the login, if one is asked for."""

    protocol_version = "HTTP/1.1"
    login: Login | None = None
    seen: list[str]

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        self.seen.append(f"{self.command} {self.path}")
        if self.login is None or self.login.matches(self.headers.get("Authorization")):
            return True
        self.send_response(HTTPStatus.UNAUTHORIZED)
        self.send_header("WWW-Authenticate", 'Basic realm="lab"')
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()
        return False

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing: `Served.requests` has it."""


class _GitHandler(_Handler):
    """Git's smart protocol, by git's own CGI program."""

    def do_GET(self) -> None:
        self._backend()

    def do_POST(self) -> None:
        self._backend()

    def _backend(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > LARGEST or self.headers.get("Transfer-Encoding"):
            self.send_error(HTTPStatus.LENGTH_REQUIRED)
            return
        parts = urlsplit(self.path)
        env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "GIT_PROJECT_ROOT": str(self.directory),
            "GIT_HTTP_EXPORT_ALL": "1",
            # The repositories belong to whoever made them for the test, which git is told to bear.
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "PATH_INFO": unquote(parts.path),
            "QUERY_STRING": parts.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": self.client_address[0],
        }
        done = subprocess.run(
            ["git", "http-backend"], input=self.rfile.read(length), capture_output=True, env=env, timeout=GIT_SECONDS,
            check=False,
        )  # fmt: skip
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = [line.decode().split(": ", 1) for line in head.split(b"\r\n") if b": " in line]
        status = next((int(value[:3]) for name, value in headers if name == "Status"), 200 if headers else 500)
        self.send_response(status)
        for name, value in headers:
            if name not in {"Status", "Content-Length"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@dataclasses.dataclass(frozen=True)
class Served:
    """A server that runs."""

    url: str
    """With its scheme, address and port; no slash at the end."""
    requests: list[str]
    """What was asked for so far: `GET /context.tar.gz`."""


@contextlib.contextmanager
def files(
    folder: Path, address: str, *, login: Login | None = None, certificate: tuple[Path, Path] | None = None
) -> Iterator[Served]:
    """Serve a folder's files.

    Args:
        folder: what is served.
        address: to listen on; the port is a free one.
        login: who may have them; by default anybody.
        certificate: the files of a certificate and its key, for TLS.
    """
    with _served(_Handler, folder, address, login, certificate) as served:
        yield served


@contextlib.contextmanager
def git(
    folder: Path, address: str, *, login: Login | None = None, certificate: tuple[Path, Path] | None = None
) -> Iterator[Served]:
    """Serve a folder's git repositories, to be read: `<url>/<repository's folder>`. The words are as in `files`."""
    with _served(_GitHandler, folder, address, login, certificate) as served:
        yield served


@contextlib.contextmanager
def _served(
    handler: type[_Handler], folder: Path, address: str, login: Login | None, certificate: tuple[Path, Path] | None
) -> Iterator[Served]:
    seen: list[str] = []
    mine = type(handler.__name__, (handler,), {"login": login, "seen": seen})
    server = http.server.ThreadingHTTPServer((address, 0), functools.partial(mine, directory=str(folder)))
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        # Shaken hands in the connection's own thread: else one client that is silent keeps all others waiting.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield Served(f"http{'s' if certificate else ''}://{address}:{server.server_address[1]}", seen)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
