"""A real HAProxy with the project's rules before an engine that only takes notes: which requests get through?"""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Any, Final

import pytest
from werkzeug import Request, Response

from components.docker.access.proxy import images, ports, prunes
from components.proxy import haproxy
from tests.support import servers
from tests.support.settings import settings
from tests.support.waiting import eventually

NAME: Final = "jenkins-docker-proxy"
OWN_ID: Final = "3a2b1c0d9e8f"
"""The beginning of the proxy's own id, as the engine gives it to the container for a host name."""

ID: Final = "5e1f" * 16
_SETTINGS: Final = settings(
    jenkins={"image": "registry.example.org:5000/ci/jenkins:1"},
    docker={"acceptRootOnHost": True, "access": "proxy", "prune": {}},
)
IMAGES: Final = ("ci-jenkins", *images("ci", _SETTINGS))

PORTS: Final = ports(_SETTINGS)
PRUNES: Final = prunes(_SETTINGS)
"""The calls of the stack's pruner."""


class Filter:
    """A running one, before an engine that agrees to everything."""

    def __init__(self, folder: Path) -> None:
        self.socket, self.health, self.log = folder / "filter", folder / "health", folder / "log"
        self.seen: list[tuple[str, bytes]] = []
        """What reached the engine: each request's line and body."""

        self.headers: dict[str, str] = {}
        """The headers of the last of them, by their names in small letters."""

        self.held = Event()
        """Without it the engine answers nothing."""

        self.held.set()

    def answer(self, request: Request) -> Response:
        self.seen.append((f"{request.method} {request.environ['REQUEST_URI']}", request.get_data()))
        self.headers = {name.lower(): value for name, value in request.headers}
        self.held.wait()
        return Response(headers={"X-Engine": "yes"})


def program() -> Sequence[str]:
    """Give the command of a HAProxy from 3.0 on; skips where there is none."""
    found = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found:
        said = subprocess.run([found, "-v"], capture_output=True, text=True, check=True).stdout
        if (version := re.search(r"version (\d+)\.", said)) and int(version[1]) >= 3:
            return [found]
    from offline import programs, proxy  # noqa: PLC0415
    from setup.console import OpsError  # noqa: PLC0415

    try:
        unpacked = proxy.program()
    except OpsError as error:
        pytest.skip(f"there is no HAProxy 3.0 here, and none from Debian: {error}")
    libraries = programs.libraries(unpacked, unpacked.parents[2])
    [loader] = {path.resolve() for name, path in libraries.items() if "ld-linux" in name}
    folders = sorted({str(path.resolve().parent) for path in libraries.values()})
    return [str(loader), "--library-path", ":".join(folders), str(unpacked)]


def _rules(entrance: Path, engine: Path) -> str:
    text = haproxy.render(
        socket=str(entrance),
        engine=str(engine),
        folder=str(Path(haproxy.__file__).parent),
        name=NAME,
        images=IMAGES,
        ports=PORTS,
        prunes=PRUNES,
    )
    # Another port than the container's, as tests share this machine's loopback; and less patience with silence.
    text = text.replace(f"bind 127.0.0.1:{haproxy.HEALTH_PORT}", f"bind unix@{entrance.with_name('health')}")
    return text.replace(" 10s", " 2s")


@contextlib.contextmanager
def running(folder: Path, rules: Callable[[Path, Path], str] = _rules) -> Iterator[Filter]:
    """Start both, with sockets in the folder.

    rules: gives the configuration for these two sockets, HAProxy's and the engine's.
    """
    made = Filter(folder)
    configuration = folder / "haproxy.cfg"
    configuration.write_text(rules(made.socket, folder / "engine"))
    with (
        servers.serving(made.answer, f"unix://{folder / 'engine'}"),
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
            made.held.set()
            process.kill()


def fixture(rules: Callable[[Path, Path], str] = _rules) -> Any:
    """Give a fixture that lets one run for all tests of a module."""

    @pytest.fixture(scope="module")
    def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filter]:
        with running(tmp_path_factory.mktemp("filter"), rules) as found:
            yield found

    return made
