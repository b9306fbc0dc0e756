"""A queue of four: builds of updates, pushes and schedules wait their turn, and waiting takes none of their time."""

import copy
import datetime as dt
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from components import labels
from tests.cluster.conftest import Make
from tests.cluster.test_contexts import TOKEN
from tests.cluster.test_push import commit, context, repository, runs, stolen, wanted
from tests.support.cluster import Stack, inline, until

__all__ = ["context", "repository", "stolen"]

BUILDS = int(os.environ.get("CI_TEST_QUEUED_BUILDS", "12"))
AT_ONCE = 4
pytestmark = pytest.mark.timeout(600 + 10 * BUILDS)
DEADLINE_SECONDS = 30
"""The least that a build can be given. All of them wait longer."""

TINY = inline("FROM scratch\nLABEL a=b\n")
MANY = [{"name": f"b{each}", "context": TINY, "deadlineSeconds": DEADLINE_SECONDS} for each in range(BUILDS)]
MINUTELY = {"name": "minutely", "context": TINY, "schedule": "* * * * *"}
KUEUE = ("kueue.x-k8s.io", "v1beta2")
OF_JOBS = "batch.kubernetes.io/job-name"


def test_a_queue_in_a_cluster_without_kueue_is_refused_at_preview(new_stack: Make) -> None:
    with new_stack() as stack:
        stack.configure(kubernetes={"parallelBuilds": AT_ONCE})
        said = stack.deployment.pulumi("preview", status=None)
        assert "ci:kubernetes.parallelBuilds = 4" in said
        assert "install Kueue 0.15 or newer" in said


@pytest.fixture(scope="module")
def deployed(new_stack: Make, lab: Any, context: dict[str, Any]) -> Iterator[Stack]:
    """Give the stack with a queue, a schedule and a watched branch."""
    from lab import kueue  # noqa: PLC0415 - only with a lab

    with kueue.installed(lab), new_stack() as stack:
        watched = {"name": "app", "context": context, "onPush": {"everySeconds": 5}}
        stack.deployment.secret("gitToken", TOKEN)
        # As `make up` has it: by itself, Pulumi would start but eight builds at one time.
        stack.deployment.env = {**stack.deployment.env, "PULUMI_PARALLEL": str(30 + BUILDS)}
        stack.deployment.seconds = 300 + 10 * BUILDS
        stack.configure(watched, MINUTELY, kubernetes={"trustedCaFile": str(lab.ca), "parallelBuilds": AT_ONCE})
        stack.deployment.up()
        yield stack


def more(stack: Stack, *builds: dict[str, Any]) -> None:
    """Add builds to the stack's settings."""
    stack.configure(*stack.settings["builds"], *builds, kubernetes=stack.settings["kubernetes"])


def hold(stack: Stack, policy: str) -> None:
    """Close the queue, or open it by the policy `None`."""
    whole, change = ("clusterqueues", stack.builds), {"spec": {"stopPolicy": policy}}
    client.CustomObjectsApi(stack.cluster.api).patch_cluster_custom_object(*KUEUE, *whole, change)


def pods(stack: Stack) -> list[Any]:
    found: list[Any] = stack.core.list_namespaced_pod(stack.builds, label_selector=OF_JOBS).items
    return found


def running(stack: Stack) -> int:
    return sum(pod.status.phase in {"Pending", "Running"} for pod in pods(stack))


def over(stack: Stack) -> bool:
    """Say whether all Jobs have ended. The condition `Suspended` of one that waits is no end."""
    conditions = [job.status.conditions or () for job in stack.jobs().values()]
    ends = [{each.type for each in those if each.status == "True"} for those in conditions]
    return all(each & {"Complete", "Failed"} for each in ends)


def of_many(stack: Stack) -> list[Any]:
    return [job for name, job in stack.jobs().items() if name.startswith("b")]


def admissions(stack: Stack) -> Iterator[tuple[str, str]]:
    """Give when each Job came into the queue, and when it got its place among those that run."""
    found = client.CustomObjectsApi(stack.cluster.api).list_namespaced_custom_object(*KUEUE, stack.builds, "workloads")
    for each in found["items"]:
        [admitted] = [one for one in each["status"]["conditions"] if one["type"] == "QuotaReserved"]
        yield each["metadata"]["creationTimestamp"], admitted["lastTransitionTime"]


def test_builds_of_an_update_a_push_and_a_schedule_wait_their_turn_and_each_ends_once(
    deployed: Stack, repository: Path
) -> None:
    until(lambda: runs(deployed) and over(deployed))
    hold(deployed, "Hold")
    head = commit(repository, "waits in the queue")[:12]
    more(deployed, *MANY)
    counts: list[int] = []

    def updated() -> bool:
        counts.append(running(deployed))
        return update.done()

    with ThreadPoolExecutor() as pool:
        update = pool.submit(deployed.deployment.up)
        try:
            until(lambda: head in runs(deployed) and len(of_many(deployed)) == BUILDS, 60 + 3 * BUILDS)
            last = max(job.metadata.creation_timestamp for job in of_many(deployed))
            until(lambda: dt.datetime.now(dt.UTC) > last + dt.timedelta(seconds=DEADLINE_SECONDS + 2))
            assert running(deployed) == 0
        finally:
            hold(deployed, "None")
        begun = time.monotonic()
        until(updated, 60 + 10 * BUILDS)
        took = time.monotonic() - begun
    update.result()
    until(
        lambda: any(job.metadata.owner_references and "minutely" in name for name, job in deployed.jobs().items()), 70
    )
    until(lambda: over(deployed))
    jobs = sorted(deployed.jobs().values(), key=lambda job: job.metadata.creation_timestamp)
    print(f"{len(jobs)} Jobs, at most {max(counts)} at one time, update done after {took:.0f} s")  # noqa: T201
    assert max(counts) == AT_ONCE
    assert {(job.status.succeeded, job.status.failed) for job in jobs} == {(1, None)}
    of_pods = [pod.metadata.labels[OF_JOBS] for pod in pods(deployed)]
    assert len(set(of_pods)) == len(of_pods)
    waits = [(job.status.start_time - job.metadata.creation_timestamp).total_seconds() for job in of_many(deployed)]
    assert (len(waits), min(waits) > DEADLINE_SECONDS) == (BUILDS, True)
    # By the times of Kueue's own objects: a Job's start is noted later, by another controller.
    begins = sorted(admissions(deployed))
    for created, admitted in begins:
        assert admitted >= max((each for earlier, each in begins if earlier < created), default=admitted)


def test_a_second_update_changes_nothing_and_a_finished_job_that_is_gone_comes_back_and_runs_no_more(
    deployed: Stack,
) -> None:
    assert set(deployed.deployment.up()) == {"same"}
    gone = deployed.job("app").metadata
    client.BatchV1Api(deployed.cluster.api).delete_namespaced_job(gone.name, deployed.builds)
    until(lambda: gone.name not in deployed.jobs())
    more(deployed, {"name": "late", "context": TINY})
    deployed.deployment.up()
    # Kueue has let that one run since.
    assert deployed.job("late").status.succeeded == 1
    back = deployed.job("app")
    assert back.metadata.uid != gone.uid
    assert (back.spec.suspend, back.status.start_time) == (True, None)


def test_a_stolen_watchers_account_can_not_get_past_the_queue(deployed: Stack, stolen: Any) -> None:
    job, create = wanted(deployed), client.BatchV1Api(stolen).create_namespaced_job
    create(deployed.builds, job, dry_run="All")
    for value in ({}, {labels.QUEUE: "other"}, {labels.QUEUE: "builds", "kueue.x-k8s.io/priority-class": "high"}):
        wrong = copy.deepcopy(job)
        del wrong["metadata"]["labels"][labels.QUEUE]
        wrong["metadata"]["labels"] |= value
        # Kueue does not suspend a Job without a queue, which the other policy may be the first to mind.
        with pytest.raises(client.ApiException, match=r"must wait in the queue|must be that of the build"):
            create(deployed.builds, wrong, dry_run="All")
