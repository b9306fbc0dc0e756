"""`make sample`: run the sample pipeline through the controller's API and show the image that it made."""

from __future__ import annotations

import codecs
import contextlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import docker
import docker.errors
import requests
import tenacity
from rich.table import Table

from ops.jenkins import Jenkins, NoSuchJobError
from ops.toolchain.errors import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic import SecretStr
    from rich.console import Console

IMAGE = "simple-jenkins-image"
READY_SECONDS = 300
"""How long a controller may take to be ready. Jenkins' first start with its plugins takes about a minute."""
SEED_SECONDS = 30
"""How long a job may be missing after that: Jenkins may serve pages while configuration as code still makes jobs."""
POLL_SECONDS = 0.5
TAIL_LINES = 10
_PLAIN = {code: None for code in range(32) if chr(code) not in "\n\t"} | {127: None}
"""Takes what moves a terminal's cursor or colours out of a log: it comes from a job, which anybody may have written."""


@dataclass(frozen=True)
class Where:
    """The engine of a stack's jobs, and how it is asked."""

    engine: str
    """Its address as Jenkins has it, for people."""
    client: Callable[[], docker.DockerClient]
    """Gives a client of the engine that Jenkins' container runs on."""
    container: str = ""
    """Jenkins' container, whose own docker client is asked; empty where both engines are one."""


def run_sample(  # noqa: PLR0913  # all by keyword
    *,
    url: str,
    user: str,
    password: SecretStr,
    job: str,
    where: Where,
    console: Console,
    timeout_seconds: float = 600,
) -> None:
    """Start the job, show its log as it grows, and the image on its engine at the end.

    Args:
        url: the controller's address, as in the stack's outputs.
        user: who signs in.
        password: that user's password.
        job: the job's name.
        where: the engine that should have the image.
        console: where to show it.
        timeout_seconds: for all of it together.

    Raises:
        Trouble: when the controller is not ready in time, refuses the password or has no such job; when the build does
            not end well, or in time; when the image is not on the engine.
    """
    end = time.monotonic() + timeout_seconds
    with Jenkins(url, user, password) as jenkins:
        with console.status(f"Waiting for the controller at {url}"):
            jenkins.wait_until_ready(min(READY_SECONDS, timeout_seconds))
            jenkins.sign_in()
            item = _start(jenkins, job, end)
            number = _await_start(jenkins, job, item, end)
        _watch(jenkins, job, number, end, console)
    _show_image(where, console)


def _watch(jenkins: Jenkins, job: str, number: int, end: float, console: Console) -> None:
    """Show the build's log until it ends. Raises Trouble unless it ends well."""
    console.print(f"Build {job} #{number}: {jenkins.url}/job/{job}/{number}/console", markup=False, highlight=False)
    tail: list[str] = []
    for line in _follow(jenkins, job, number, end):
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
        tail = [*tail[1 - TAIL_LINES :], line]
    result = _result(jenkins, job, number, end)
    if result != "SUCCESS":
        lines = "\n".join(f"    | {line}" for line in tail)
        raise Trouble(
            f"The build {job} #{number} ended with {result}. Its last lines:\n{lines}",
            "What is missing on this machine: make doctor",
        )


def _start(jenkins: Jenkins, job: str, end: float) -> int:
    return tenacity.Retrying(
        wait=tenacity.wait_fixed(POLL_SECONDS),
        stop=tenacity.stop_after_delay(min(SEED_SECONDS, _left(end))),
        retry=tenacity.retry_if_exception_type(NoSuchJobError),
        reraise=True,
    )(jenkins.start, job)


def _await_start(jenkins: Jenkins, job: str, item: int, end: float) -> int:
    while True:
        number = jenkins.started(job, item)
        if number is not None:
            return number
        if not _left(end):
            raise Trouble(
                f"The build of {job} still waits in Jenkins' queue.",
                f"See what it waits for at {jenkins.url}/queue/: it needs a free executor (ci:jenkins executors).",
            )
        time.sleep(POLL_SECONDS)


def _follow(jenkins: Jenkins, job: str, number: int, end: float) -> Iterator[str]:
    """The log line by line, as it is written, until the build has ended."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    position, rest = 0, ""
    while True:
        part = jenkins.log(job, number, position)
        *lines, rest = (rest + decoder.decode(part.data, final=not part.more)).split("\n")
        for line in lines:
            yield line.translate(_PLAIN)
        if not part.more:
            if rest:
                yield rest.translate(_PLAIN)
            return
        if not _left(end):
            raise _late(jenkins, job, number)
        position = part.next
        time.sleep(POLL_SECONDS)


def _result(jenkins: Jenkins, job: str, number: int, end: float) -> str:
    """The result; a build counts as running for a moment after its last line."""
    while True:
        build = jenkins.build(job, number)
        if not build.building and build.result:
            return build.result
        if not _left(end):
            raise _late(jenkins, job, number)
        time.sleep(POLL_SECONDS)


def _late(jenkins: Jenkins, job: str, number: int) -> Trouble:
    return Trouble(
        f"The build {job} #{number} still runs, and the time for it is over. It goes on.",
        f"Watch it at {jenkins.url}/job/{job}/{number}/console",
    )


def _left(end: float) -> float:
    return max(0.0, end - time.monotonic())


def _show_image(where: Where, console: Console) -> None:
    try:
        image = _image(where)
    except docker.errors.ImageNotFound:
        raise Trouble(
            f"The build was green, but the engine at {where.engine} has no image {IMAGE}.",
            "The controller may build on another engine: see ci:docker host and access of the stack.",
        ) from None
    except (docker.errors.DockerException, requests.RequestException, OSError) as failed:
        raise Trouble(
            f"The build was green; the engine at {where.engine} can't be asked for its image: {failed}"
        ) from failed
    table = Table(title=f"On the engine at {where.engine}", title_justify="left")
    for name in ("image", "id", "size", "created"):
        table.add_column(name, no_wrap=True)
    created = str(image.get("Created", ""))[:19].replace("T", " ")
    short = str(image["Id"]).removeprefix("sha256:")[:10]
    table.add_row(IMAGE, short, f"{image['Size'] / 1e6:.1f} MB", f"{created} UTC")
    console.print(table)


def _image(where: Where) -> dict[str, Any]:
    """What the engine says of the image. Raises ImageNotFound, or what the docker SDK raises otherwise."""
    with contextlib.closing(where.client()) as client:
        if not where.container:
            return dict(client.images.get(IMAGE).attrs)
        # Jenkins alone has the way to its engine; its certificates are not for this machine.
        command = ["docker", "image", "inspect", IMAGE]
        done: Any = client.containers.get(where.container).exec_run(command, user="1000", demux=True)
        code, (out, err) = done.exit_code, (part.decode(errors="replace") if part else "" for part in done.output)
        if code and "No such image" in err:
            raise docker.errors.ImageNotFound(err)
        if code:
            raise docker.errors.DockerException(err.strip())
        return dict(json.loads(out)[0])
