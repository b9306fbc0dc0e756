"""What a build's pods tell: the digest that was pushed, or why nothing was."""

from typing import Any

import pytest

from components.kubernetes import results
from components.kubernetes.builders.buildctl import CLIENT, UNUSABLE
from tests.support.kubernetes_stack import DIGEST, build, failed, settings, succeeded

OTHER = f"sha256:{'cd' * 32}"
KEY = "ci:builds[3]"
LATE = "Job was active longer than specified deadline"
DEADLINE = f"{KEY}.deadlineSeconds, for example to 3600"
MEMORY = f"{KEY}.resources.memoryMib, for example to 2048"
DISK = f"{KEY}.resources.diskMib"
QUOTA = 'pods "x" is forbidden: exceeded quota: builds, requested: limits.memory=1Gi'
NO_ROOM = "0/1 nodes are available: 1 Insufficient memory."
NO_IMAGE = 'Failed to pull image "kaniko:9": not found'
IMAGE = "ci:kubernetes.kanikoImage"
NO_NAMESPACE = "user namespaces"


def explain(*pods: dict[str, Any], events: tuple[str, ...] = (), **keys: Any) -> str:
    return results.explain(settings(builds=[build(**keys)]).builds[0], 3, pods, events)


def pending(**status: Any) -> dict[str, Any]:
    return {"status": {"phase": "Pending", **status}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return pending(containerStatuses=[{"name": "kaniko", "state": {"waiting": {"reason": reason, "message": message}}}])


def deleted(pod: dict[str, Any]) -> dict[str, Any]:
    return {**pod, "metadata": {"deletionTimestamp": "2026-01-31T03:00:00Z"}}


def evicted(message: str) -> dict[str, Any]:
    status = failed(exitCode=2, message="cannot write")["status"]
    return {"status": {**status, "reason": "Evicted", "message": message}}


def unscheduled(status: str) -> dict[str, Any]:
    return pending(conditions=[{"type": "PodScheduled", "status": status, "message": NO_ROOM}])


def test_the_digest_is_the_newest_successful_pods() -> None:
    assert results.digest([succeeded(DIGEST)]) == DIGEST
    assert results.digest([failed(message=OTHER), succeeded(DIGEST), succeeded(OTHER)]) == DIGEST
    assert results.digest([succeeded(f"{DIGEST}\n")]) == DIGEST


@pytest.mark.parametrize(
    "pods", [[], [{}], [pending()], [failed(message=DIGEST)], [succeeded("")], [succeeded("sha256:1")]]
)
def test_no_digest_is_made_up(pods: list[dict[str, Any]]) -> None:
    assert results.digest(pods) is None


def test_what_fetched_the_context_does_not_hide_the_digest() -> None:
    pod = succeeded()
    pod["status"]["initContainerStatuses"] = [{"name": "fetch", "state": {"terminated": {"exitCode": 0}}}]
    assert results.digest([pod]) == DIGEST


ENDS: list[tuple[str, list[dict[str, Any]], tuple[str, ...], tuple[str, ...]]] = [
    ("killed for memory", [failed(reason="OOMKilled", exitCode=1)], (), (MEMORY,)),
    ("killed", [failed(exitCode=137)], (), (MEMORY,)),
    ("kaniko's step was killed", [failed(message="waiting for process to exit: signal: killed\n")], (), (MEMORY,)),
    ("kaniko's step's program was killed", [failed(message="to exit: exit status 137")], (), (MEMORY,)),
    ("BuildKit's step was killed", [failed(message="did not complete: exit code: 137")], (), (MEMORY,)),
    ("a step that ended with 13", [failed(message="did not complete: exit code: 13")], (), ("kaniko ended with",)),
    ("the newest pod counts", [failed(exitCode=7), failed(exitCode=137)], (), ("exit code 7",)),
    (
        "fetching failed",
        [failed(container="fetch", init=True, exitCode=128, message="no remote ref v9")],
        (),
        (f"{KEY}.context.git", "no remote ref v9"),
    ),
    ("Buildah without a user namespace", [failed(message="unshare(CLONE_NEWUSER): no")], (), (NO_NAMESPACE,)),
    (
        "BuildKit without a user namespace",
        [failed(message="[rootlesskit:parent] error: no space left on device")],
        (),
        (NO_NAMESPACE, f"{KEY}.builder: kaniko"),
    ),
    (
        "the daemon is away, seen by the deadline",
        [deleted(failed(container=CLIENT, exitCode=143, message=f"waiting\n{UNUSABLE} tcp://x: refused\n"))],
        (LATE,),
        (f"{UNUSABLE} tcp://x: refused", "make status"),
    ),
    ("the daemon came back", [failed(container=CLIENT, message=f"{UNUSABLE} x\nERROR: no")], (), ("buildctl ended",)),
    (
        "the daemon's volume is full",
        [failed(container=CLIENT, message="no space left")],
        (),
        ("ci:buildkit.storageGib",),
    ),
    (
        "the daemon's step was killed",
        [failed(container=CLIENT, message="exit code: 137")],
        (),
        ("ci:buildkit.memoryMib",),
    ),
    ("login refused", [failed(message="UNAUTHORIZED: x")], (), ("ci:registryPassword", "ci:dockerConfig")),
    ("login asked for", [failed(message="Authentication required")], (), ("ci:registryPassword",)),
    ("disk full", [failed(message="write /x: no space left on device")], (), (DISK, "ci:registry.storageGib")),
    ("evicted for its disk", [evicted("Pod ephemeral local storage usage exceeds")], (), ("exceeds", DISK)),
    ("evicted", [evicted("The node was low on resource: memory.")], (), ("low on resource: memory",)),
    ("another reason of the pod", [{"status": {"reason": "NodeLost", "message": "x"}}], (), ("NodeLost: x",)),
    ("image not found", [waiting("ImagePullBackOff", "not found")], (), (IMAGE, "not found")),
    ("image not found at first", [waiting("ErrImagePull")], (), (IMAGE,)),
    ("image not found, pod deleted", [], (LATE, NO_IMAGE), (IMAGE, "not found")),
    ("a Secret is missing", [waiting("CreateContainerConfigError", "x")], (), ("CreateContainerConfigError, x",)),
    ("about to start", [waiting("PodInitializing")], (), (DEADLINE,)),
    ("about to be created", [waiting("ContainerCreating")], (), (DEADLINE,)),
    ("no node", [unscheduled("False")], (), (NO_ROOM, f"{KEY}.resources")),
    ("no node, pod deleted", [], (LATE, NO_ROOM), (NO_ROOM, f"{KEY}.resources")),
    ("a node at last", [unscheduled("True")], (), (DEADLINE,)),
    ("quota", [], (QUOTA,), ("ci:kubernetes.quota", f"{KEY}.resources")),
    ("quota until the deadline", [], (LATE, QUOTA), ("ci:kubernetes.quota",)),
    ("late, pod there", [pending()], (), (DEADLINE,)),
    ("late, pod deleted", [], (LATE,), (DEADLINE,)),
    ("late, with another warning", [], (LATE, "back-off"), (DEADLINE, "back-off")),
    ("any other warning", [], ("violates PodSecurity",), ("violates PodSecurity",)),
    ("nothing is known", [], (), ("no pod",)),
]
"""How it ended, its pods, the warnings, and what the explanation must have in it."""


@pytest.mark.parametrize(("pods", "events", "parts"), [pytest.param(*case[1:], id=case[0]) for case in ENDS])
def test_the_explanation_names_the_reason_and_what_to_change(
    pods: list[dict[str, Any]], events: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    text = explain(*pods, events=events)
    assert text.startswith("build website failed: ")
    for part in parts:
        assert part in text
    for remedy in (DEADLINE, MEMORY, DISK, IMAGE, "ci:kubernetes.quota"):
        assert remedy in text if remedy in parts else remedy not in text


@pytest.mark.parametrize("end", [{"exitCode": 143}, {"exitCode": 2}, {"exitCode": 137, "reason": "Error"}], ids=str)
def test_a_builder_that_is_ended_by_the_deadline_is_late_however_it_ends(end: dict[str, Any]) -> None:
    pod = failed(**end, message="STEP 2/2: RUN sleep 600")
    text = explain(deleted(pod), events=(LATE,))
    assert DEADLINE in text
    assert text.endswith("    STEP 2/2: RUN sleep 600")
    # The warning about an earlier Job is there for an hour.
    assert "deadlineSeconds" not in explain(pod, events=(LATE,))
    assert "deadlineSeconds" not in explain(deleted(pod))


def test_the_last_lines_of_the_log_are_shown() -> None:
    log = "\n".join(f"line {number}" for number in range(40)) + "\n\n"
    assert explain(failed(exitCode=2, message=log)).splitlines()[1:] == [f"    line {n}" for n in range(35, 40)]


BUILDKIT_FAILED = """\
#6 [2/2] RUN echo the reason is here && exit 3
#6 0.113 the reason is here
#6 ERROR: process "/bin/sh -c echo the reason is here && exit 3" did not complete successfully: exit code: 3
------
 > importing cache manifest from 192.0.2.1:5000/cache/broken:buildkit:
------
------
 > [2/2] RUN echo the reason is here && exit 3:
0.113 the reason is here
------
Dockerfile:2
--------------------
   1 |     FROM alpine:latest
   2 | >>> RUN echo and exit 3
   3 | {blank}
--------------------
error: failed to solve: process "/bin/sh -c echo x && exit 3" did not complete successfully: exit code: 3
"""


def test_what_the_step_itself_said_is_among_the_last_lines_of_buildkits_log() -> None:
    *_, before, last = explain(failed(container="buildkit", message=BUILDKIT_FAILED)).splitlines()
    assert before == "    0.113 the reason is here"
    assert last.startswith("    error: failed to solve")
