"""`make sample` in a cluster: a pod runs one of the images that were built, as a workload would, and shows its output.

What it proves is the way of an image from the registry onto a node: the address in the output `images`, the digest, the
Secret that nodes log in with, and the node's trust in the registry.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

from kubernetes import client, watch

from ops import cluster
from ops.sample import show
from ops.toolchain.console import OpsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from components.kubernetes.cluster import ApiReader

LABEL = "ci/sample"
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

HINTS = {
    "server gave http response to https": "Nodes expect TLS there: give ci:registry.tls, or tell each node's "
    "containerd that this host speaks plain HTTP",
    "x509|certificate": "Nodes do not trust the registry's certificate: give each node's containerd its authority",
    "401|unauthorized|authentication required": "The login was refused; `make up` renews the pull Secret",
    "not found|manifest unknown": "The registry lost it: change the build's trigger in ci:builds, then: make up",
    "no such host|connection refused|i/o timeout": "Nodes do not reach the registry by this name: see the output "
    "containerdHosts, or give ci:registry.nodePort",
    "exceeded quota": "The builds' quota is used up: wait for the builds to end, or raise ci:kubernetes.quota",
    "insufficient|nodes are available": "No node has room for it: kubectl describe nodes",
    "": "See: make status",
}
"""Patterns of what the API server and the kubelet say, and what to do about it; the first that fits counts."""


def run(  # noqa: PLR0913, PLR0917 - each is another matter
    there: ApiReader, name: str, image: str, namespace: str, pull_secret: str, console: Console
) -> None:
    """Run the image of a build, and show what it prints.

    Args:
        there: the stack's cluster.
        name: the build's.
        image: `host/repository@sha256:...`, as nodes pull it.
        namespace: the builds', where the Secret is.
        pull_secret: the Secret's name.
        console: where to show it.

    Raises:
        OpsError: when the pod is refused, can't pull, does not start in time, or ends with another status than 0.
    """
    with cluster.asked():
        core = client.CoreV1Api(there.client)
        core.delete_collection_namespaced_pod(namespace, label_selector=LABEL, grace_period_seconds=0)
    try:
        with cluster.asked():
            pod = core.create_namespaced_pod(namespace, manifest(name, image, pull_secret)).metadata.name
    except OpsError as refused:
        raise OpsError(f"The pod of image {name} was not let in. {refused.what}", _hint(refused.what)) from refused
    try:
        console.print(f"Image {name}: {image}", markup=False)
        with cluster.asked(), console.status(f"Waiting for the pod {pod} in {namespace}"):
            _await_start(core, namespace, pod)
            done, status = _watch(core, namespace, pod, RUN_SECONDS, lambda new: new.phase in {"Succeeded", "Failed"})
            log = core.read_namespaced_pod_log(pod, namespace)
        show([log.encode()], console)
        if done:
            _judge(name, status)
        said = "The pod ended well" if done else f"It still ran after {RUN_SECONDS} s, as a server does,"
        console.print(f"{said} and is removed.", markup=False)
    finally:
        # Else its deadline ends it, and the next run removes it.
        with contextlib.suppress(OpsError), cluster.asked():
            core.delete_namespaced_pod(pod, namespace, grace_period_seconds=0)


def _watch(
    core: client.CoreV1Api, namespace: str, pod: str, seconds: int, done: Callable[[client.V1PodStatus], bool]
) -> tuple[bool, client.V1PodStatus]:
    """Watch the status until it is done or the time is over. Return whether it is, and the last status."""
    status = client.V1PodStatus()
    words = {"timeout_seconds": seconds, "_request_timeout": seconds + 5}
    ours = {"namespace": namespace, "field_selector": f"metadata.name={pod}"}
    for event in watch.Watch().stream(core.list_namespaced_pod, **ours, **words):
        status = event["object"].status
        if event["type"] == "DELETED":
            raise OpsError(f"The pod {pod} is gone from {namespace}.", "See: make status")
        if done(status):
            return True, status
    return False, status


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
            "terminationGracePeriodSeconds": 1,
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


def _await_start(core: client.CoreV1Api, namespace: str, pod: str) -> None:
    """Wait until the container runs or has run."""
    seen = [""]

    def settled(new: client.V1PodStatus) -> bool:
        reason = _trouble(new)[0]
        if reason != seen[-1]:  # the same try may be told twice
            seen.append(reason)
        return new.phase != "Pending" or reason in HOPELESS or seen.count(NOT_PULLED) == PULLS

    done, status = _watch(core, namespace, pod, PULL_SECONDS, settled)
    reason, message = _trouble(status)
    if reason in {*HOPELESS, NOT_PULLED}:
        raise OpsError(f"The node can't run the image: {reason}, {message}", _hint(message))
    if not done:
        said = f"The pod did not start within {PULL_SECONDS} s: {reason or status.phase} {message}"
        raise OpsError(said.rstrip(), _hint(message))


def _hint(message: str) -> str:
    """What to do about a pod that does not start, by what is said about it."""
    return next(advice for pattern, advice in HINTS.items() if re.search(pattern, message.lower()))


def _judge(name: str, status: client.V1PodStatus) -> None:
    """Raise OpsError if the container failed."""
    states = [each.state.terminated for each in status.container_statuses or [] if each.state and each.state.terminated]
    if states and states[0].exit_code:
        raise OpsError(
            f"The image {name} was pulled and run, and ended with {states[0].exit_code} ({states[0].reason}).",
            "Its output is above. It ran without capabilities and with the namespace's default limits.",
        )
    if status.phase == "Failed":
        raise OpsError(f"The pod of image {name} failed: {status.reason} {status.message or ''}".rstrip())
