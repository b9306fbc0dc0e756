"""`make sample` on a Docker host: run the sample's job in Jenkins and show the image that it made.

Where a stand-in runs in Jenkins' place, the sample's steps are run in its container instead.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import docker
import docker.errors
import requests
from rich.table import Table

from ops.toolchain.console import OpsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from ops.jenkins import Jenkins

IMAGE = "simple-jenkins-image"
JENKINS_USER = "1000"
STAND_IN = "ci.stand-in"
"""The label of the images of offline/, which their containers have too."""
BUILD_SECONDS = 600
"""How long a build may take from its request on. The sample's own limit is ten minutes."""
POLL_SECONDS = 0.5
TAIL_LINES = 10
_PLAIN = {code: None for code in range(32) if chr(code) not in "\n\t"} | {127: None}
"""Takes what moves a terminal's cursor or colours out of a log: it comes from a job, which anybody may have written."""


@dataclass(frozen=True)
class Engine:
    """The engine of a stack's jobs, and how it is asked."""

    address: str
    """As Jenkins has it, for people."""
    client: Callable[[], docker.DockerClient]
    """Gives a client of the engine that Jenkins' container runs on."""
    container: str
    """Jenkins' container."""
    own: bool
    """Whether only Jenkins' own docker client reaches the jobs' engine; its certificates are not for this machine."""


def run_steps(engine: Engine, console: Console) -> bool:
    """Run the sample's steps in the stand-in for Jenkins, if that is what the stack has. Returns whether it is.

    Raises:
        OpsError: when a step fails.
    """
    with contextlib.closing(engine.client()) as client:
        container = client.containers.get(engine.container)
        if STAND_IN not in container.labels:
            return False
        console.print(
            f"{engine.container} is not Jenkins but a stand-in: the steps of the sample run in it without Jenkins.",
            highlight=False,
        )
        api: Any = client.api  # its methods have no types
        run = api.exec_create(engine.container, ["sample"], user=JENKINS_USER)["Id"]
        shown = _Shown(console)
        for piece in api.exec_start(run, stream=True):
            shown.add(piece)
        shown.end()
        status = api.exec_inspect(run)["ExitCode"]
    if status:
        raise OpsError(
            f"The sample's steps ended with exit status {status}. Their last lines:\n{shown.tail}",
            "What is missing on this machine: make doctor",
        )
    return True


def run_job(jenkins: Jenkins, job: str, console: Console, *, seconds: float = BUILD_SECONDS) -> None:
    """Start a job and show its log as it grows.

    Args:
        jenkins: where.
        job: the job's name.
        console: where to show it.
        seconds: the longest that it may take.

    Raises:
        OpsError: when Jenkins is away for too long, refuses, or has no such job; when the build does not end
            well, or in time.
    """
    end = time.monotonic() + seconds
    with console.status(f"Waiting for Jenkins at {jenkins.url}"):
        item = jenkins.start(job)
        number = _await_start(jenkins, job, item, end)
    address = f"{jenkins.url}/job/{job}/{number}/console"
    late = OpsError(
        f"The build {job} #{number} still runs after {seconds:.0f} s. It goes on.", f"Watch it at {address}"
    )
    console.print(f"Build {job} #{number}: {address}", markup=False, highlight=False)
    shown = _Shown(console)
    for piece in jenkins.log(job, number):
        shown.add(piece)
        _pause(end, late)
    shown.end()
    while (result := jenkins.result(job, number)) is None:  # it counts as running for a moment after its last line
        _pause(end, late)
    if result != "SUCCESS":
        raise OpsError(
            f"The build {job} #{number} ended with {result}. Its last lines:\n{shown.tail}",
            "What is missing on this machine: make doctor",
        )


def _await_start(jenkins: Jenkins, job: str, item: int, end: float) -> int:
    while True:
        number, why = jenkins.started(job, item)
        if number is not None:
            return number
        _pause(
            end,
            OpsError(
                f"The build of {job} still waits in Jenkins' queue: {why or 'Jenkins gives no reason'}.",
                f"See {jenkins.url}/queue/",
            ),
        )


def _pause(end: float, late: OpsError) -> None:
    if time.monotonic() > end:
        raise late
    time.sleep(POLL_SECONDS)


class _Shown:
    """A log on the console, line by line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rest = b""
        self._tail: list[str] = []

    def add(self, piece: bytes) -> None:
        """Show the whole lines of what has come."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            text = line.decode(errors="replace").translate(_PLAIN)
            self._console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)
            self._tail = [*self._tail[1 - TAIL_LINES :], text]

    def end(self) -> None:
        """Show what is left without an end of its line."""
        if self._rest:
            self.add(b"\n")

    @property
    def tail(self) -> str:
        """The last lines, for an error."""
        return "\n".join(f"    | {line}" for line in self._tail)


def show_image(engine: Engine, console: Console) -> None:
    """Show the sample's image on the jobs' engine.

    Raises:
        OpsError: when it is not there.
    """
    try:
        image = _image(engine)
    except docker.errors.ImageNotFound:
        raise OpsError(
            f"The build was green, but the engine at {engine.address} has no image {IMAGE}.",
            "Jenkins may build on another engine: see ci:docker.host and ci:docker.access of the stack.",
        ) from None
    except (docker.errors.DockerException, requests.RequestException, OSError) as failed:
        raise OpsError(
            f"The build was green; the engine at {engine.address} can't be asked for its image: {failed}"
        ) from failed
    table = Table(title=f"On the engine at {engine.address}", title_justify="left")
    for name in ("image", "id", "size", "created"):
        table.add_column(name, no_wrap=True)
    created = str(image.get("Created", ""))[:19].replace("T", " ")
    short = str(image["Id"]).removeprefix("sha256:")[:10]
    table.add_row(IMAGE, short, f"{image['Size'] / 1e6:.1f} MB", f"{created} UTC")
    console.print(table)


def _image(engine: Engine) -> dict[str, Any]:
    """What the engine says of the image. Raises ImageNotFound, or what the docker SDK raises otherwise."""
    with contextlib.closing(engine.client()) as client:
        if not engine.own:
            return dict(client.images.get(IMAGE).attrs)
        command = ["docker", "image", "inspect", IMAGE]
        done: Any = client.containers.get(engine.container).exec_run(command, user=JENKINS_USER, demux=True)
        out, err = (part.decode(errors="replace") if part else "" for part in done.output)
        if done.exit_code and "No such image" in err:
            raise docker.errors.ImageNotFound(err)
        if done.exit_code:
            raise docker.errors.DockerException(err.strip())
        return dict(json.loads(out)[0])
