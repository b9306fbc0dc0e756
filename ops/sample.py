"""`sample`: show that the CI works, by Jenkins' sample pipeline on a Docker host, or by one of a cluster's images.

Where a stand-in runs in Jenkins' place, the sample's steps are run in its container instead.
"""

# ruff: noqa: PLC0415 - imported late: each platform needs libraries that the other does not

from __future__ import annotations

import contextlib
import re
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from ops import cluster, engine
from ops.settings import stack_password
from ops.stack import Stack, open_stack
from ops.toolchain import console as terminal
from ops.toolchain.console import OpsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rich.console import Console

    from ops.jenkins import Jenkins

IMAGE = "simple-jenkins-image"
JENKINS_USER = "1000"
BUILD_SECONDS = 600
"""How long a build may take from its request on. The sample's own limit is ten minutes."""
POLL_SECONDS = 0.5
TAIL_LINES = 10
_NOTE = re.compile(rb"\x1b\[8mha:[^\x1b]*\x1b\[0m")
"""A console note: data for the build's page, which Jenkins leaves in. Source: hudson.console.ConsoleNote."""


def sample(named: str | None) -> None:
    """Run the sample of the stack that is up.

    Raises:
        OpsError: when the stack is not up, has no sample, or the sample does not end well.
    """
    stack = open_stack(named)
    in_cluster = stack.settings.platform == "kubernetes"
    if in_cluster:
        cluster.require(stack)
    found = stack.outputs()
    if not found.get("url"):
        raise OpsError(f"Stack {stack.name} is not up.", f"Bring it up first: {stack.make('up')}")
    if stack.settings.gitlab_runner is not None and not found.get("images"):
        raise only_gitlab_can(stack)
    if in_cluster:
        _in_cluster(stack, found)
    else:
        _on_docker(stack, found)


def only_gitlab_can(stack: Stack) -> OpsError:
    """What to say of a stack whose jobs come from a GitLab."""
    runner = stack.settings.gitlab_runner
    example = "examples/gitlab-kubernetes"
    if stack.settings.platform == "docker":
        example = "examples/gitlab-dind" if runner and runner.engine == "dind" else "examples/gitlab-docker"
    return OpsError(
        f"Stack {stack.name} has no sample that can be started from here: its runner takes jobs from "
        f"{runner.url if runner else 'GitLab'} alone.",
        f"Push what is in {example} to a project there that may use the runner, and watch its pipeline.",
    )


def _in_cluster(stack: Stack, found: Mapping[str, Any]) -> None:
    from ops import cluster_sample

    images = found.get("images") or {}
    if not images:
        raise OpsError(
            f"Stack {stack.name} builds no image.",
            "Add one to ci:builds, for example {name: website, context: {directory: images/website}}, then: make up",
        )
    name = "sample" if "sample" in images else next(iter(images))
    there = cluster.reader(stack)
    cluster_sample.run(there, name, images[name], found["buildsNamespace"], found["pullSecret"], terminal.out())


def _on_docker(stack: Stack, found: Mapping[str, Any]) -> None:
    from ops.jenkins import Jenkins

    job, console = found.get("sampleJob"), terminal.out()
    if not job:
        raise OpsError(
            f"Stack {stack.name} has no sample job.", "It is there with `setup: casc` and `sample: true`, the defaults."
        )
    # Only where the jobs run is a way to their engine.
    where = found["sidecars"].get("agent-1", found["container"])
    try:
        if not _run_steps(stack, where, console):
            with Jenkins(found["url"], found["adminUser"], SecretStr(stack_password(stack))) as jenkins:
                run_job(jenkins, job, console)
        _show_image(stack, where, console)
    except engine.ERRORS as failed:
        raise OpsError(f"The engine at {stack.settings.docker.host} does not answer: {failed}") from failed


def _run_steps(stack: Stack, name: str, console: Console) -> bool:
    """Run the sample's steps in the stand-in for Jenkins, if that is what the stack has. Returns whether it is."""
    if not engine.is_stand_in(stack.settings, name):
        return False
    with contextlib.closing(engine.client(stack.settings)) as client:
        console.print(
            f"{name} is not Jenkins but a stand-in: the steps of the sample run in it without Jenkins.", highlight=False
        )
        api: Any = client.api  # its methods have no types
        run = api.exec_create(name, ["sample"], user=JENKINS_USER)["Id"]
        tail = show(api.exec_start(run, stream=True), console)
        status = api.exec_inspect(run)["ExitCode"]
    if status:
        raise _failed(f"The sample's steps ended with exit status {status}", tail)
    return True


def _failed(what: str, tail: str) -> OpsError:
    return OpsError(f"{what}. Its last lines:\n{tail}", "What is missing on this machine: make doctor")


def run_job(jenkins: Jenkins, job: str, console: Console, *, seconds: float = BUILD_SECONDS) -> None:
    """Start a job and show its log as it grows, for so many seconds at most.

    Raises:
        OpsError: when Jenkins is away for too long, refuses, or has no such job; when the build does not end well, or
            in time.
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
    tail = show(_paced(jenkins.log(job, number), end, late), console)
    while (result := jenkins.result(job, number)) is None:  # it counts as running for a moment after its last line
        _pause(end, late)
    if result != "SUCCESS":
        raise _failed(f"The build {job} #{number} ended with {result}", tail)


def _await_start(jenkins: Jenkins, job: str, item: int, end: float) -> int:
    while True:
        number, why = jenkins.started(job, item)
        if number is not None:
            return number
        said = f"The build of {job} still waits in Jenkins' queue: {why or 'Jenkins gives no reason'}."
        _pause(end, OpsError(said, f"See {jenkins.url}/queue/"))


def _paced(pieces: Iterable[bytes], end: float, late: OpsError) -> Iterator[bytes]:
    for piece in pieces:
        yield piece
        _pause(end, late)


def _pause(end: float, late: OpsError) -> None:
    if time.monotonic() > end:
        raise late
    time.sleep(POLL_SECONDS)


def show(pieces: Iterable[bytes], console: Console) -> str:
    """Show a log on the console as it comes, in pieces that end anywhere. Returns its last lines, for an error."""
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    for line in _lines(pieces):
        text = _NOTE.sub(b"", line).decode(errors="replace")
        # Anybody may have written the job or the image: nothing of its output moves the terminal's cursor.
        text = "".join(letter for letter in text if letter.isprintable() or letter == "\t")
        console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)
        tail.append(f"    | {text}")
    return "\n".join(tail)


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
    if rest:
        yield rest


def _show_image(stack: Stack, name: str, console: Console) -> None:
    """Show the sample's image, as the docker client in Jenkins' container sees it: only that reaches every engine."""
    command = ["docker", "image", "ls", "--filter", f"reference={IMAGE}"]
    with contextlib.closing(engine.client(stack.settings)) as client:
        code, said = client.containers.get(name).exec_run(command, user=JENKINS_USER)
    shown = show([said] if isinstance(said, bytes) else [], console)
    if code or IMAGE not in shown:
        raise OpsError(
            f"The build was green, but the jobs' engine has no image {IMAGE}.",
            "Jenkins may build on another engine: see ci:docker.host and ci:docker.access of the stack.",
        )
