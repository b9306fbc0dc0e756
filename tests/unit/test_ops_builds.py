"""What `status` says of builds: from the state and from what the cluster has, for every way that a build can stand."""

from __future__ import annotations

from typing import Any

import pytest

from components import labels
from components.settings import BuildSettings
from ops import builds, cluster_status

BUILD = {"name": "web", "context": {"inline": {"Dockerfile": "FROM x"}}, "resources": {"memoryMib": 512}}
JOB = "web-0123456789ab"
IMAGE = "localhost:30500/web@sha256:" + "a" * 64
DONE = {
    "startTime": "2026-01-31T10:00:00Z",
    "completionTime": "2026-01-31T10:00:07Z",
    "conditions": [{"type": "Complete", "status": "True"}],
}
FAILED = {"conditions": [{"type": "Failed", "status": "True"}]}


def job(status: dict[str, Any], name: str = JOB, *, owner: str = "", suspend: bool = False) -> dict[str, Any]:
    owners = [{"kind": "CronJob", "name": owner}] if owner else []
    return {"metadata": {"name": name, "ownerReferences": owners}, "spec": {"suspend": suspend}, "status": status}


def pod(terminated: dict[str, Any], job_name: str = JOB) -> dict[str, Any]:
    return {
        "metadata": {"labels": {builds.JOB_LABEL: job_name}, "creationTimestamp": "2026-01-31T10:00:00Z"},
        "status": {"phase": "Failed", "containerStatuses": [{"name": "kaniko", "state": {"terminated": terminated}}]},
    }


def told(
    found: builds.Found, build: dict[str, Any] | None = None, *, images: bool = True, events: tuple[str, ...] = ()
) -> list[tuple[str, str, bool]]:
    given = {"web": IMAGE} if images else {}
    return list(builds.rows([BuildSettings.model_validate(build or BUILD)], {"web": JOB}, given, found, {JOB: events}))


def test_a_build_that_is_done_says_what_it_pushed_and_when() -> None:
    assert told(builds.Found([job(DONE)], [], [])) == [
        ("build web", f"{IMAGE}, built 2026-01-31 10:00:07 UTC in 7 s", True)
    ]


def test_a_build_that_failed_says_why_in_the_words_of_the_settings() -> None:
    found = builds.Found([job(FAILED)], [], [pod({"exitCode": 137, "reason": "OOMKilled"})])
    [(_, said, well)] = told(found)
    assert "raise ci:builds[0].resources.memoryMib, for example to 1024" in said
    assert not well


def test_a_build_whose_pod_was_refused_says_what_the_cluster_said_of_its_job() -> None:
    [(_, said, well)] = told(builds.Found([job(FAILED)], [], []), events=("exceeded quota: builds",))
    assert "exceeded quota: builds; raise ci:kubernetes.quota" in said
    assert not well


@pytest.mark.parametrize(
    ("jobs", "images", "said", "well"),
    [
        ([job({"active": 1, "startTime": "2026-01-31T10:00:00Z"})], False, "runs since 2026-01-31 10:00:00 UTC", False),
        ([job({})], False, "waits for its pod", False),
        ([job({}, suspend=True)], True, "built before its Job was removed, and not again", True),
        ([], True, "notes that and builds nothing", False),
        ([], False, "`make up` builds it", False),
    ],
)
def test_every_other_way_that_a_build_can_stand_is_told_apart(
    jobs: list[dict[str, Any]],
    images: bool,  # noqa: FBT001 - a case of a table
    said: str,
    well: bool,  # noqa: FBT001
) -> None:
    [(_, text, is_well)] = told(builds.Found(jobs, [], []), images=images)
    assert said in text
    assert is_well is well


def test_a_build_that_was_added_to_the_file_is_not_built_yet() -> None:
    [(_, said, well)] = builds.rows([BuildSettings.model_validate(BUILD)], {}, {}, builds.Found([], [], []), {})
    assert said == "not built yet; `make up` builds it"
    assert not well


def test_a_schedule_says_when_it_is_due_and_how_its_last_run_ended() -> None:
    schedule = {
        "metadata": {"name": "web"},
        "spec": {"schedule": "17 2 * * *"},
        "status": {"lastScheduleTime": "2026-01-31T02:17:00Z"},
    }
    early = job(FAILED, "web-1", owner="web") | {}
    early["metadata"]["creationTimestamp"] = "2026-01-30T02:17:00Z"
    late = job(DONE, "web-2", owner="web")
    late["metadata"]["creationTimestamp"] = "2026-01-31T02:17:00Z"
    build = {**BUILD, "schedule": "17 2 * * *"}
    [_, (title, said, well)] = told(builds.Found([job(DONE), early, late], [schedule], []), build)
    assert title == "schedule web"
    assert "next 2" in said
    assert " 02:17" in said
    assert "the last run, of 2026-01-31 02:17:00 UTC, is done" in said
    assert well
    [_, (_, said, well)] = told(
        builds.Found([job(DONE), early], [schedule], [pod({"exitCode": 1, "message": "boom"}, "web-1")]), build
    )
    assert "kaniko ended with exit code 1" in said
    assert "boom" in said
    assert not well


def test_a_build_that_was_late_is_told_as_such_when_its_pod_and_its_warnings_are_gone() -> None:
    words = {"reason": "DeadlineExceeded", "message": "Job was active longer than specified deadline"}
    late = {"conditions": [{"type": "Failed", "status": "True", **words}]}
    schedule = {"metadata": {"name": "web"}, "spec": {"schedule": "17 2 * * *"}}
    found = builds.Found([job(late), job(late, "web-1", owner="web")], [schedule], [])
    for _, said, well in told(found, {**BUILD, "schedule": "17 2 * * *"}):
        assert "raise ci:builds[0].deadlineSeconds" in said
        assert not well


def test_a_schedule_whose_cronjob_is_gone_or_suspended_is_not_well() -> None:
    build = {**BUILD, "schedule": "17 2 * * *"}
    [_, (_, said, well)] = told(builds.Found([job(DONE)], [], []), build)
    assert "`make up` brings it back" in said
    assert not well
    schedule = {"metadata": {"name": "web"}, "spec": {"schedule": "17 2 * * *", "suspend": True}}
    [_, (_, said, well)] = told(builds.Found([job(DONE)], [schedule], []), build)
    assert "suspended by hand" in said
    assert not well


def test_the_state_tells_each_builds_job_but_not_one_that_is_to_be_deleted() -> None:
    def resource(name: str, **more: Any) -> dict[str, Any]:
        marks = {labels.BUILD: "web"}
        return {"type": "kubernetes:batch/v1:Job", "inputs": {"metadata": {"name": name, "labels": marks}}, **more}

    unlabelled = {"type": "kubernetes:batch/v1:Job", "inputs": {"metadata": {"name": "x"}}}
    found = builds.deployed_jobs([resource("new"), resource("old", delete=True), unlabelled, {"type": "ci:x:Y"}])
    assert found == {"web": "new"}


@pytest.mark.parametrize(
    ("status", "ready", "said"),
    [
        (
            {"conditions": [{"type": "Ready", "status": "True"}], "startTime": "2026-01-31T10:00:00Z"},
            True,
            "ready since 2026-01-31T10:00:00Z, 0 restarts",
        ),
        (
            {
                "phase": "Running",
                "containerStatuses": [
                    {"restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}}
                ],
            },
            False,
            "not ready (Running, 4 restarts): CrashLoopBackOff back-off",
        ),
        (
            {
                "phase": "Pending",
                "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}],
            },
            False,
            "0/1 nodes are available",
        ),
        ({"phase": "Pending"}, False, "it starts"),
    ],
)
def test_a_registry_that_is_not_ready_says_why(
    status: dict[str, Any],
    ready: bool,  # noqa: FBT001 - a case of a table
    said: str,
) -> None:
    is_ready, text = cluster_status.readiness({"status": status})
    assert is_ready is ready
    assert said in text
