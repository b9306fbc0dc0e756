"""`sample`: show that the CI works, by Jenkins' sample pipeline on a Docker host, or by one of a cluster's images.

Where a stand-in runs in Jenkins' place, the sample's steps are run in its container instead. In a cluster a pod runs an
image that was built, as a workload would. What that proves is the image's way from the registry onto a node: the
address in the output `images`, the digest, the Secret that nodes log in with, and the node's trust in the registry.
"""

import contextlib
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kubernetes import client, watch
from rich.console import Console

from components import labels
from ops import cluster, engine, jenkins
from ops.jenkins import Jenkins
from ops.stack import Stack, open_stack
from setup import console as terminal
from setup.console import OpsError
from setup.engine import ERRORS

IMAGE = "simple-jenkins-image"
JENKINS_USER = "1000"
BUILD_SECONDS = 600
"""How long a build may take from its request on. The sample's own limit is ten minutes."""
POLL_SECONDS = 0.5
TAIL_LINES = 10
_NOTE = re.compile(rb"\x1b\[8mha:[^\x1b]*\x1b\[0m")
"""A console note: data for the build's page, which Jenkins leaves in. Source: hudson.console.ConsoleNote."""

LABEL = f"{labels.PREFIX}/sample"
"""Marks the sample's pods, so that one that was left by a killed run is found."""

PULL_SECONDS = 120
"""How long the pod may take to start: a node to be found, the image to be pulled."""

RUN_SECONDS = 60
"""How long the image may run. A server never ends by itself; it is stopped then, and that is no fault."""

HOPELESS = frozenset({"InvalidImageName", "CreateContainerConfigError"})
"""Reasons to wait that do not go away."""

NOT_PULLED = "ErrImagePull"
"""The reason for as long as the kubelet has not begun to wait. It tries again after 10 s: the Secret, or the registry's
own login file, may have come to the node a moment too late."""

PULLS = 2
"""How many times a pull may fail before that counts as the answer."""

REMEDY = 'What to do about each message: docs/how-to/kubernetes.md, "let nodes pull"'


def sample(named: str | None) -> None:
    """Run the sample of a stack. Raises OpsError when that is not up or has none, or the sample does not end well."""
    stack = open_stack(named)
    in_cluster = stack.settings.platform == "kubernetes"
    if in_cluster:
        cluster.require(stack)
    found = stack.outputs()
    if not found.get("url"):
        raise OpsError(f"Stack {stack.name} is not deployed.", f"Deploy it first: {stack.make('up')}")
    if stack.settings.gitlab_runner is not None and not found.get("images"):
        raise only_gitlab_can(stack)
    if in_cluster:
        in_pod(stack, found, terminal.out())
    else:
        _on_docker(stack, found, terminal.out())


def only_gitlab_can(stack: Stack) -> OpsError:
    """What to say of a stack whose jobs come from a GitLab."""
    runner: Any = stack.settings.gitlab_runner
    on_docker = "dind" if runner.engine == "dind" else "docker"
    example = on_docker if stack.settings.platform == "docker" else "kubernetes"
    return OpsError(
        f"Stack {stack.name} has no sample to start from here: its runner takes jobs only from {runner.url}.",
        f"Push examples/gitlab-{example} to a project there that may use the runner, and watch its pipeline.",
    )


def _on_docker(stack: Stack, found: Mapping[str, Any], console: Console) -> None:
    job = found.get("sampleJob")
    if not job:
        raise OpsError(
            f"Stack {stack.name} has no sample job.",
            "Jenkins has one with `setup: casc` and `sample: true`, the defaults.",
        )
    try:
        there = jenkins.of(stack, jenkins.START_SECONDS)
        if there:
            run_job(there, job, console)
        else:
            console.print(f"{found['container']} is not Jenkins but a stand-in: the steps run without Jenkins.")
            code, said = _inside(stack, found, console, "sample")
            if code:
                raise _failed(f"The sample's steps ended with exit status {code}", said)
        # As the docker client in Jenkins' container sees it: only that reaches every engine.
        code, said = _inside(stack, found, console, "docker", "image", "ls", "--filter", f"reference={IMAGE}")
    except ERRORS as failed:
        raise OpsError(f"The engine at {stack.settings.docker.host} does not answer: {failed}") from failed
    if code or IMAGE not in said:
        raise OpsError(
            f"The build was green, but the jobs' engine has no image {IMAGE}.",
            "Jenkins may build on another engine: see ci:docker.host and ci:docker.access of the stack.",
        )


def _inside(stack: Stack, found: Mapping[str, Any], console: Console, *words: str) -> tuple[int, str]:
    """Run a command where the jobs run: only there is a way to their engine. Gives its status and last lines."""
    name = found["sidecars"].get("agent-1", found["container"])
    with contextlib.closing(engine.client(stack.settings)) as docker:
        done: Any = docker.containers.get(name).exec_run([*words], user=JENKINS_USER)
    return done.exit_code, show([done.output or b""], console)


def _failed(what: str, tail: str) -> OpsError:
    return OpsError(f"{what}. Its last lines:\n{tail}", "What is missing on this machine: make doctor")


def run_job(there: Jenkins, job: str, console: Console, *, seconds: float = BUILD_SECONDS) -> None:
    """Start a job and show its log as it grows, for so many seconds at most.

    Raises OpsError when Jenkins is away for too long, refuses, or has no such job, and when the build does not end well
    or in time.
    """
    end = time.monotonic() + seconds

    def pause(what: str, where: str) -> None:
        if time.monotonic() > end:
            raise OpsError(what, where)
        time.sleep(POLL_SECONDS)

    with console.status(f"Waiting for Jenkins at {there.url}"):
        item = there.start(job)
        while isinstance(number := there.started(job, item), str):
            pause(f"The build of {job} still waits in Jenkins' queue: {number}.", f"See {there.url}/queue/")
    build = f"job/{job}/{number}"
    address = f"{there.url}/{build}/console"
    late = f"The build {job} #{number} still runs after {seconds:.0f} s. It goes on.", f"Watch it at {address}"

    def log() -> Iterator[bytes]:
        for piece in there.log(build):
            yield piece
            pause(*late)

    console.print(f"Build {job} #{number}: {address}", markup=False, highlight=False)
    tail = show(log(), console)
    while (result := there.result(build)) is None:  # it counts as running for a moment after its last line
        pause(*late)
    if result != "SUCCESS":
        raise _failed(f"The build {job} #{number} ended with {result}", tail)


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


def in_pod(stack: Stack, found: Mapping[str, Any], console: Console) -> None:
    """Run the image of a build, the one named `sample` if there is one, and show what it prints.

    found: the stack's outputs. Raises OpsError when there is no image, or its pod is refused, can't pull, does not
    start in time, or ends with another status than 0.
    """
    images, namespace = found.get("images") or {}, found["buildsNamespace"]
    if not images:
        raise OpsError(
            f"Stack {stack.name} builds no image.",
            f"Add one to ci:builds, as {{name: web, context: {{directory: images/web}}}}, then: {stack.make('up')}",
        )
    name = "sample" if "sample" in images else next(iter(images))
    with cluster.asked():
        core = client.CoreV1Api(cluster.reader(stack).client)
        core.delete_collection_namespaced_pod(namespace, label_selector=LABEL, grace_period_seconds=0)
    try:
        with cluster.asked():
            wanted = manifest(name, images[name], found["pullSecret"])
            pod = core.create_namespaced_pod(namespace, wanted).metadata.name
    except OpsError as refused:
        raise OpsError(f"The pod of image {name} was refused. {refused.what}", REMEDY) from refused
    try:
        console.print(f"Image {name}: {images[name]}", markup=False)
        with cluster.asked(), console.status(f"Waiting for the pod {pod} in {namespace}"):
            status = _awaited(core, namespace, pod)
            log = core.read_namespaced_pod_log(pod, namespace)
        show([log.encode()], console)
        if status.phase == "Failed":
            ends = [each.state.terminated for each in status.container_statuses or [] if each.state.terminated]
            how = f"{ends[0].exit_code} ({ends[0].reason})" if ends else f"{status.reason} {status.message or ''}"
            raise OpsError(
                f"The image {name} was pulled and run, and ended with {how}.",
                "Its output is above. It ran without capabilities and with the namespace's default limits.",
            )
        how = "ended well" if status.phase == "Succeeded" else f"still ran after {RUN_SECONDS} s, as a server does,"
        console.print(f"The pod {how} and is removed.", markup=False)
    finally:
        # Else its deadline ends it, and the next run removes it.
        with contextlib.suppress(OpsError), cluster.asked():
            core.delete_namespaced_pod(pod, namespace, grace_period_seconds=0)


def manifest(name: str, image: str, pull_secret: str) -> dict[str, Any]:
    """The pod. Its limits are the namespace's defaults; its rights are those of no one."""
    container = {
        "name": "sample",
        "image": image,
        # By its digest it can't be another one than the node has.
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "metadata": {"generateName": f"sample-{name[:40]}-", "labels": {LABEL: name}},
        "spec": {
            "restartPolicy": "Never",
            # Should whoever started it be killed, it does not hold its share of the quota for ever.
            "activeDeadlineSeconds": PULL_SECONDS + RUN_SECONDS,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "imagePullSecrets": [{"name": pull_secret}],
            # The image may want to be root, which the namespace allows to builds; capabilities it gets none.
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
        },
    }


def _trouble(status: client.V1PodStatus) -> tuple[str, str]:
    """What a pod waits for: reason and message, both empty when it waits for nothing."""
    waits = [each.state.waiting for each in status.container_statuses or [] if each.state and each.state.waiting]
    waits += [each for each in status.conditions or [] if (each.type, each.status) == ("PodScheduled", "False")]
    return next(((each.reason or "", each.message or "") for each in waits), ("", ""))


def _awaited(core: client.CoreV1Api, namespace: str, pod: str) -> client.V1PodStatus:
    """Wait until the pod has ended, or has run for so long as it may. Returns its last status."""
    seen, status = [""], client.V1PodStatus()
    for status in _statuses(core, namespace, pod, PULL_SECONDS):
        reason = _trouble(status)[0]
        if reason != seen[-1]:  # the same try may be told twice
            seen.append(reason)
        if status.phase != "Pending" or reason in HOPELESS or seen.count(NOT_PULLED) == PULLS:
            break
    if status.phase in {"Pending", None}:
        reason, message = _trouble(status)
        raise OpsError(f"The pod did not start: {reason or 'it says nothing'} {message}".rstrip(), REMEDY)
    for status in _statuses(core, namespace, pod, RUN_SECONDS):
        if status.phase in {"Succeeded", "Failed"}:
            break
    return status


def _statuses(core: client.CoreV1Api, namespace: str, pod: str, seconds: int) -> Iterator[client.V1PodStatus]:
    """Give a pod's status, now and each time that it changes, for so many seconds."""
    ours = {"namespace": namespace, "field_selector": f"metadata.name={pod}"}
    words = {"timeout_seconds": seconds, "_request_timeout": seconds + 5}
    for event in watch.Watch().stream(core.list_namespaced_pod, **ours, **words):
        if event["type"] == "DELETED":
            raise OpsError(f"The pod {pod} is gone.", f"See kubectl --namespace {namespace} get events")
        yield event["object"].status
