"""A real HAProxy with the project's rules before an engine that only takes notes: which requests get through?"""

import contextlib
import os
import re
import shutil
import socketserver
import subprocess
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

import pytest

from components.docker.access.proxy import prunes
from components.proxy import haproxy
from tests.support.settings import settings
from tests.support.waiting import eventually

NAME: Final = "jenkins-docker-proxy"
OWN_ID: Final = "3a2b1c0d9e8f"
"""The beginning of the proxy's own id, as the engine gives it to the container for a host name."""

ID: Final = "5e1f" * 16
IMAGES: Final = ("haproxy:3.2.21-alpine", "ci-jenkins", "registry.example.org:5000/ci/jenkins:1", "+docker:28.5.2-cli")

PRUNES: Final = prunes(settings(docker={"acceptRootOnHost": True, "access": "proxy", "prune": {}}))
"""The calls of the stack's pruner."""


class _Notes(BaseHTTPRequestHandler):
    """Answers every request, as an engine that agrees to all of it."""

    protocol_version = "HTTP/1.1"
    server: "_Engine"

    def setup(self) -> None:
        super().setup()
        self.client_address = ("unix", 0)

    def answer(self) -> None:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b""
            while length := int(self.rfile.readline(), 16):
                body += self.rfile.read(length + 2)[:-2]
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((f"{self.command} {self.path}", body))
        self.server.held.wait()
        self.send_response(200)
        self.send_header("X-Engine", "yes")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - the names that the base class calls

    def log_message(self, *_: Any) -> None:
        pass


class _Engine(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, path: str) -> None:
        super().__init__(path, _Notes)
        self.seen: list[tuple[str, bytes]] = []
        self.held = Event()
        self.held.set()

    def handle_error(self, *_: Any) -> None:
        """Say nothing of clients that have gone away."""


class Filter:
    """A running one."""

    def __init__(self, folder: Path, engine: _Engine) -> None:
        self.socket, self.health, self.log = folder / "filter", folder / "health", folder / "log"
        self._engine = engine

    @property
    def seen(self) -> list[tuple[str, bytes]]:
        """What reached the engine: each request's line and body."""
        return self._engine.seen

    @property
    def held(self) -> Event:
        """An event without which the engine answers nothing."""
        return self._engine.held


def program() -> Sequence[str]:
    """Give the command of a HAProxy from 3.0 on; skips where there is none."""
    found = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found:
        said = subprocess.run([found, "-v"], capture_output=True, text=True, check=True).stdout
        if (version := re.search(r"version (\d+)\.", said)) and int(version[1]) >= 3:
            return [found]
    from offline import debian, proxy  # noqa: PLC0415
    from ops.toolchain.console import OpsError  # noqa: PLC0415

    try:
        unpacked = proxy.program()
    except OpsError as error:
        pytest.skip(f"there is no HAProxy 3.0 here, and none from Debian: {error}")
    libraries = debian.libraries(unpacked, unpacked.parents[2])
    [loader] = {path.resolve() for name, path in libraries.items() if "ld-linux" in name}
    folders = sorted({str(path.resolve().parent) for path in libraries.values()})
    return [str(loader), "--library-path", ":".join(folders), str(unpacked)]


def _rules(entrance: Path, engine: Path) -> str:
    text = haproxy.render(
        socket=str(entrance), engine=str(engine), policy=str(haproxy.POLICY), name=NAME, images=IMAGES, prunes=PRUNES
    )
    # Another port than the container's, as tests share this machine's loopback; and less patience with silence.
    text = text.replace(f"bind 127.0.0.1:{haproxy.HEALTH_PORT}", f"bind unix@{entrance.with_name('health')}")
    return text.replace(" 10s", " 2s")


@contextlib.contextmanager
def running(folder: Path, rules: Callable[[Path, Path], str] = _rules) -> Iterator[Filter]:
    """Start both, with sockets in the folder.

    rules: gives the configuration for these two sockets, HAProxy's and the engine's.
    """
    engine = _Engine(str(folder / "engine"))
    Thread(target=engine.serve_forever, daemon=True).start()
    made = Filter(folder, engine)
    configuration = folder / "haproxy.cfg"
    configuration.write_text(rules(made.socket, folder / "engine"))
    with (
        made.log.open("w") as log,
        subprocess.Popen(
            [*program(), "-db", "-f", str(configuration)],
            env={"HOSTNAME": OWN_ID},
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            eventually(lambda: made.socket.exists() or process.poll() is not None)
            assert process.poll() is None, made.log.read_text()
            yield made
        finally:
            engine.held.set()
            process.kill()
            engine.shutdown()
            engine.server_close()
