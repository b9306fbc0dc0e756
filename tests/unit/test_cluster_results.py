"""What a build's pods tell: the digest that was pushed, or why nothing was."""

from typing import Any

import pytest

from components.kubernetes import results
from tests.support.kubernetes_stack import DIGEST, build, failed, settings, succeeded

OTHER = f"sha256:{'cd' * 32}"


def explain(*pods: dict[str, Any], events: tuple[str, ...] = (), **keys: Any) -> str:
    return results.explain(settings(builds=[build(**keys)]).builds[0], 3, pods, events)


def pending(**status: Any) -> dict[str, Any]:
    return {"status": {"phase": "Pending", **status}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return pending(containerStatuses=[{"name": "kaniko", "state": {"waiting": {"reason": reason, "message": message}}}])


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


@pytest.mark.parametrize(
    "state",
    [
        {"reason": "OOMKilled", "exitCode": 137},
        {"reason": "OOMKilled", "exitCode": 1},
        {"reason": "Error", "exitCode": 137},
    ],
)
def test_want_of_memory_says_what_to_raise_and_to_what(state: dict[str, Any]) -> None:
    text = explain(failed(**state), resources={"memoryMib": 2048})
    assert text.startswith("the build website failed: it was killed, most likely for want of memory (it has 2048 MiB)")
    assert "raise ci:builds[3].resources.memoryMib, for example to 4096" in text


def test_another_end_is_told_with_its_code_and_the_last_lines_of_the_log() -> None:
    log = "\n".join(f"line {number}" for number in range(40)) + "\n\n"
    text = explain(failed(exitCode=2, message=log))
    head, *lines = text.splitlines()
    assert head == "the build website failed: kaniko ended with 2"
    assert lines == [f"    line {number}" for number in range(35, 40)]


def test_a_context_that_could_not_be_fetched_is_told_as_such() -> None:
    text = explain(failed(container="fetch", init=True, exitCode=128, message="fatal: couldn't find remote ref v9"))
    assert "fetch ended with 128, while fetching ci:builds[3].context.git" in text
    assert "couldn't find remote ref v9" in text


@pytest.mark.parametrize(
    "log",
    [
        'error: failed to solve: process "/bin/sh -c x" did not complete successfully: exit code: 137',
        'level=error msg="signal: killed"',
        'Error: building at STEP "RUN x": exit status 137',
    ],
)
def test_a_step_that_was_killed_is_told_also_where_the_kubelet_gives_no_reason(log: str) -> None:
    assert "raise ci:builds[3].resources.memoryMib" in explain(failed(message=log))
    assert "memoryMib" not in explain(failed(message=log.replace("137", "13").replace("killed", "kill")))


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


@pytest.mark.parametrize(
    "log",
    [
        "Error during unshare(CLONE_NEWUSER): Operation not permitted",
        "[rootlesskit:parent] error: failed to start the child: fork/exec /proc/self/exe: no space left on device",
    ],
)
def test_a_node_that_lets_nobody_make_a_user_namespace_is_told_as_such(log: str) -> None:
    text = explain(failed(message=log))
    assert "since the node lets it make no user namespace" in text
    assert "write ci:builds[3].builder: kaniko" in text
    assert "diskMib" not in text


@pytest.mark.parametrize("log", ["UNAUTHORIZED: authentication required", "Authentication required"])
def test_a_refused_login_names_the_passwords(log: str) -> None:
    assert "is ci:registryPassword (or ci:dockerConfig) right?" in explain(failed(message=log))


def test_a_full_disk_names_both_disks() -> None:
    text = explain(failed(message="write /x: no space left on device"))
    assert "ci:builds[3].resources.diskMib" in text
    assert "ci:registry.storageGib" in text


@pytest.mark.parametrize("reason", ["ImagePullBackOff", "ErrImagePull", "CreateContainerConfigError"])
def test_a_container_that_never_started_says_why(reason: str) -> None:
    assert explain(waiting(reason, "not found")) == f"the build website failed: kaniko: {reason}, not found"


@pytest.mark.parametrize("reason", ["PodInitializing", "ContainerCreating"])
def test_a_container_that_is_about_to_start_is_no_reason(reason: str) -> None:
    assert "it was not done within 1800 s" in explain(waiting(reason))


def test_a_pod_that_no_node_took_says_what_it_wanted() -> None:
    condition = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient memory"}
    text = explain(pending(conditions=[condition]))
    assert "no node took it (0/1 nodes: Insufficient memory)" in text
    assert "lower ci:builds[3].resources, or add a node" in text


def test_an_evicted_pod_says_what_the_kubelet_said() -> None:
    text = explain({"status": {"phase": "Failed", "reason": "Evicted", "message": "low on ephemeral-storage"}})
    assert text == "the build website failed: Evicted: low on ephemeral-storage"


def test_a_quota_that_let_no_pod_in_is_told_also_when_the_deadline_came_last() -> None:
    quota = 'pods "x" is forbidden: exceeded quota: builds, requested: limits.memory=1Gi'
    for events in ((quota,), ("Job was active longer than specified deadline", quota)):
        text = explain(events=events)
        assert "exceeded quota: builds" in text
        assert "raise ci:kubernetes.quota, or lower ci:builds[3].resources" in text


def test_a_build_beyond_its_deadline_says_what_to_raise_whether_its_pod_is_gone_or_not() -> None:
    for text in (
        explain(pending(), deadlineSeconds=60),
        explain(events=("Job was active longer than specified deadline",), deadlineSeconds=60),
    ):
        assert "it was not done within 60 s; raise ci:builds[3].deadlineSeconds" in text
        assert "for example to 120" in text


def test_a_builder_that_ended_when_it_was_told_to_is_late_only_where_the_deadline_told_it() -> None:
    pod = failed(container="buildah", exitCode=143, message="STEP 2/2: RUN sleep 600")
    text = explain(pod, events=("Job was active longer than specified deadline",), deadlineSeconds=60)
    assert "it was not done within 60 s; raise ci:builds[3].deadlineSeconds" in text
    assert text.endswith("    STEP 2/2: RUN sleep 600")
    assert "buildah ended with 143" in explain(pod)


def test_any_other_warning_of_the_cluster_is_passed_on() -> None:
    assert explain(events=("violates PodSecurity",)) == "the build website failed: violates PodSecurity"
    assert explain() == "the build website failed: no pod was started"


def test_the_newest_pod_is_the_one_that_counts() -> None:
    assert "ended with 7" in explain(failed(exitCode=7), failed(exitCode=137, reason="OOMKilled"))
