"""`make sample` in a cluster: a pod runs one of the images that were built, as a workload would, and shows its output.

What it proves is the way of an image from the registry onto a node: the address in the output `images`, the digest, the
Secret that nodes log in with, and the node's trust in the registry.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from ops.cluster import ApiError
from ops.toolchain.console import OpsError

if TYPE_CHECKING:
    from rich.console import Console

    from ops.cluster import Cluster

LABEL = "ci/sample"
"""Marks the sample's pods, so that one that was left by a killed run is found."""

PULL_SECONDS = 120
"""How long the pod may take to start: a node to be found, the image to be pulled."""

RUN_SECONDS = 60
"""How long the image may run. A server never ends by itself; it is stopped then, and that is no fault."""

POLL_SECONDS = 0.5

HOPELESS = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError"})
"""Reasons to wait that do not go away. The kubelet tries again with longer and longer pauses."""

HINTS = (
    (
        ("server gave http response to https",),
        "Nodes expect TLS there: give ci:registry.tls, or tell each node's containerd that this host speaks plain HTTP",
    ),
    (
        ("x509", "certificate"),
        "Nodes do not trust the registry's certificate: give each node's containerd its authority",
    ),
    (("401", "unauthorized", "authentication required"), "The login was refused; `make up` renews the pull Secret"),
    (("not found", "manifest unknown"), "The registry lost it: change the build's trigger in ci:builds, then: make up"),
    (
        ("no such host", "connection refused", "i/o timeout"),
        "Nodes do not reach the registry by this name: see the output containerdHosts, or give ci:registry.nodePort",
    ),
    (("exceeded quota",), "The builds' quota is used up: wait for the builds to end, or raise ci:kubernetes.quota"),
    (("insufficient", "nodes are available"), "No node has room for it: kubectl describe nodes"),
)
"""Parts of what the API server and the kubelet say, in small letters, and what to do about it; the first one counts."""


def run(  # noqa: PLR0913, PLR0917 - each is another matter
    cluster: Cluster, name: str, image: str, namespace: str, pull_secret: str, console: Console
) -> None:
    """Run the image of a build, and show what it prints.

    Args:
        cluster: where.
        name: the build's.
        image: `host/repository@sha256:...`, as nodes pull it.
        namespace: the builds', where the Secret is.
        pull_secret: the Secret's name.
        console: where to show it.

    Raises:
        OpsError: when the pod is refused, can't pull, does not start in time, or ends with another status than 0.
    """
    pods = f"/api/v1/namespaces/{namespace}/pods"
    for left in cluster.items(pods, labelSelector=LABEL):
        _remove(cluster, f"{pods}/{left['metadata']['name']}")
    try:
        made = cluster.ask(pods, method="POST", body=manifest(name, image, pull_secret))["metadata"]["name"]
    except ApiError as refused:
        raise OpsError(f"The pod of image {name} was not let in. {refused.what}", _hint(refused.what)) from refused
    try:
        console.print(f"Image {name}: {image}", markup=False)
        with console.status(f"Waiting for the pod {made} in {namespace}"):
            _await_start(cluster, f"{pods}/{made}")
        end = time.monotonic() + RUN_SECONDS
        for line in cluster.follow(namespace, made, RUN_SECONDS):
            console.print(f"  {_plain(line)}", markup=False, highlight=False, soft_wrap=True)
            if time.monotonic() > end:
                break
        _judge(cluster, f"{pods}/{made}", name, console, end)
    finally:
        _remove(cluster, f"{pods}/{made}")


def manifest(name: str, image: str, pull_secret: str) -> dict[str, Any]:
    """The pod. Its limits are the namespace's defaults; its rights are those of no one."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
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
            "containers": [
                {
                    "name": "sample",
                    "image": image,
                    # By its digest it can't be another one than the node has.
                    "imagePullPolicy": "IfNotPresent",
                    "terminationMessagePolicy": "FallbackToLogsOnError",
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


def _await_start(cluster: Cluster, pod: str) -> None:
    """Wait until the container runs or has run."""
    end = time.monotonic() + PULL_SECONDS
    while True:
        status = cluster.ask(pod).get("status") or {}
        reason, message = trouble(status)
        if reason in HOPELESS:
            raise OpsError(f"The node can't run the image: {reason}, {message}", _hint(message))
        if status.get("phase") in {"Running", "Succeeded", "Failed"}:
            return
        if time.monotonic() > end:
            raise OpsError(
                f"The pod did not start within {PULL_SECONDS} s: {reason or status.get('phase')} {message}".rstrip(),
                _hint(message),
            )
        time.sleep(POLL_SECONDS)


def trouble(status: dict[str, Any]) -> tuple[str, str]:
    """What a pod waits for: reason and message, both empty when it waits for nothing."""
    for container in status.get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting:
            return str(waiting.get("reason", "")), str(waiting.get("message", ""))
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return str(condition.get("reason", "")), str(condition.get("message", ""))
    return "", ""


def _hint(message: str) -> str:
    """What to do about a pod that does not start, by what is said about it."""
    low = message.lower()
    return next((advice for signs, advice in HINTS if any(sign in low for sign in signs)), "See: make status")


def _judge(cluster: Cluster, pod: str, name: str, console: Console, end: float) -> None:
    """Say how the container ended. Raises OpsError when it failed."""
    while True:
        status = cluster.ask(pod).get("status") or {}
        if status.get("phase") in {"Succeeded", "Failed"}:
            break
        if time.monotonic() > end:
            console.print(f"It still ran after {RUN_SECONDS} s, as a server does, and was stopped.", markup=False)
            return
        time.sleep(POLL_SECONDS)
    ended = next(
        ((each.get("state") or {}).get("terminated") or {} for each in status.get("containerStatuses") or []), {}
    )
    code = ended.get("exitCode")
    if code:
        raise OpsError(
            f"The image {name} was pulled and run, and ended with {code} ({ended.get('reason', 'no reason')}).",
            "Its output is above. It ran without capabilities and with the namespace's default limits.",
        )
    if status.get("phase") == "Failed":
        raise OpsError(f"The pod of image {name} failed: {status.get('reason')} {status.get('message', '')}".rstrip())
    console.print("The pod ended well and is removed.", markup=False)


def _remove(cluster: Cluster, pod: str) -> None:
    with contextlib.suppress(ApiError):  # else its deadline ends it, and the next run removes it
        cluster.ask(pod, method="DELETE", gracePeriodSeconds="0")


def _plain(line: str) -> str:
    """A line without what moves a terminal's cursor: it comes from an image, which anybody may have written."""
    return "".join(letter for letter in line if letter.isprintable() or letter == "\t")
