"""The queue: every build's Job is in it, whatever starts it, and the quota has room for as many as it lets run."""

import json
from typing import Any

import pytest

from components import labels
from components.kubernetes import queue
from tests.support.engine import Engine
from tests.support.kubernetes_platform import deploy
from tests.support.kubernetes_stack import FakeReader, build

GIT = {"git": {"repository": "https://git.example.org/team/app.git"}}
BUILDS = [
    build(resources={"cpuMillicores": 500, "memoryMib": 4096}, deadlineSeconds=100),
    build("nightly", schedule="@daily", resources={"cpuMillicores": 2000, "memoryMib": 512}, deadlineSeconds=60),
    build("app", context=GIT, onPush={}, deadlineSeconds=31),
]
BOUNDED: dict[str, Any] = {"kubernetes": {"parallelBuilds": 2}, "builds": BUILDS}
WAITS = {labels.QUEUE: queue.NAME}


def marks(metadata: dict[str, Any]) -> dict[str, str]:
    """Give the labels of Kueue."""
    return {key: value for key, value in metadata["labels"].items() if key.startswith("kueue")}


@pytest.mark.parametrize("bounded", [True, False])
def test_a_job_of_an_update_a_schedule_or_a_push_is_in_the_queue_and_its_pod_is_not(
    engine: Engine, *, bounded: bool
) -> None:
    made = deploy(engine, **(BOUNDED if bounded else {"builds": BUILDS}))
    schedules = [each for each in made.of("CronJob").values() if each["metadata"]["namespace"] == "ci-builds"]
    jobs = [*made.of("Job").values(), *(each["spec"]["jobTemplate"] for each in schedules)]
    assert len(jobs) == len(BUILDS) + 2
    for job in jobs:
        assert marks(job["metadata"]) == (WAITS if bounded else {})
        assert marks(job["spec"]["template"]["metadata"]) == {}
    assert marks(json.loads(made["push-app"]["data"]["job"])["metadata"]) == (WAITS if bounded else {})
    policies = str(made.of("ValidatingAdmissionPolicy"))
    assert (f"== ['{labels.QUEUE}=builds']" in policies) is bounded
    assert f"'suspend': dyn({str(bounded).lower()})" in policies
    assert ("queue-local-queue" in str(engine.requests["build-app"].dependencies)) is bounded


def test_the_queue_counts_pods_and_has_all_that_a_build_requests(engine: Engine) -> None:
    made = deploy(engine, **BOUNDED)
    [group] = made["queue-cluster-queue"]["spec"]["resourceGroups"]
    [flavor] = group["flavors"]
    assert flavor["resources"][0] == {"name": "pods", "nominalQuota": "2"}
    pod = made["build-app-job"]["spec"]["template"]["spec"]
    for container in (*pod["containers"], *pod["initContainers"]):
        assert set(container["resources"]["requests"]) <= set(group["coveredResources"])


def test_the_quota_has_room_for_the_largest_build_as_often_as_builds_run_at_one_time(engine: Engine) -> None:
    hard = deploy(engine, **BOUNDED)["namespaces-quota"]["spec"]["hard"]
    # Beside ten other pods with 500 thousandths and 256 MiB each.
    wanted = {"limits.cpu": f"{2 * 2000 + 5000}m", "limits.memory": f"{2 * 4096 + 2560}Mi", "pods": "12"}
    assert {key: hard[key] for key in wanted} == wanted


@pytest.mark.parametrize(("keys", "seconds"), [(BOUNDED, 100 + 120 + (100 + 2 * 60 + 2 * 31) / 2), ({}, 100 + 120)])
def test_an_update_waits_for_a_build_until_all_others_have_used_up_their_time(
    engine: Engine, keys: dict[str, Any], seconds: float
) -> None:
    deploy(engine, **{"builds": BUILDS, **keys})
    assert engine.requests["build-website-job"].customTimeouts.create == f"{seconds:.0f}s"


@pytest.mark.parametrize("volume", ["volume-1", "volume-2"])
def test_a_finished_job_comes_back_outside_of_the_queue_unless_its_image_is_lost(volume: str) -> None:
    first = deploy(Engine(preview=False), **BOUNDED)
    engine = Engine(preview=False)
    engine.volume_uid = volume
    job = deploy(engine, FakeReader(), {**first.outputs, "registryVolume": "volume-1"}, **BOUNDED)["build-website-job"]
    assert job["spec"].get("suspend", False) is (volume == "volume-1")
    assert marks(job["metadata"]) == ({} if volume == "volume-1" else WAITS)


@pytest.mark.parametrize("now", [BOUNDED, {"builds": BUILDS}])
def test_no_update_changes_the_queue_of_a_job_that_there_is_since_kueue_would_refuse_it(now: dict[str, Any]) -> None:
    label, engine = f'metadata.labels["{labels.QUEUE}"]', Engine(preview=False)
    # One that is done stays as it is, and one that the last update did not note is made anew.
    deploy(engine, FakeReader(), deploy(Engine(preview=False), builds=BUILDS[:1]).outputs, **now)
    assert label in engine.requests["build-website-job"].ignoreChanges
    assert list(engine.requests["build-nightly-job"].replaceOnChanges) == [label]
