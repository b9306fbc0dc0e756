"""Every change of a setting, on and off again, on one deployed stack: no update may be left that can't pass."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from tests.cluster.conftest import Make
from tests.support.cluster import Stack, inline

ROWS = yaml.safe_load(Path(__file__).with_name("settings.yaml").read_text())["rows"]
BY_HAND: dict[str, Any] = {"egress/-": {}, "schedule": "0 0 1 1 *"}
"""What somebody does to the network policy of builds and to the schedule of the restarter."""

CONTEXT = inline("FROM scratch\nLABEL a=b\n")
pytestmark = pytest.mark.timeout(1500)


def configure(stack: Stack, sections: Mapping[str, Any], keys: Mapping[str, Any]) -> None:
    own = {"name": "own", "context": CONTEXT, "resources": {"memoryMib": 256}, **keys}
    stack.configure(own, {**own, "name": "other", "builder": "buildah"}, **sections)


@pytest.fixture(scope="module")
def deployed(new_stack: Make, lab: Any) -> Iterator[Stack]:
    """Give the stack, in a cluster with Kueue, with two builds done."""
    from lab import kueue  # noqa: PLC0415 - only with a lab

    with kueue.installed(lab), new_stack() as stack:
        configure(stack, {}, {})
        stack.deployment.up()
        yield stack


def jobs(stack: Stack) -> dict[str, str]:
    return {name.rpartition("-")[0]: job.metadata.uid for name, job in stack.jobs().items()}


def test_each_setting_is_changed_and_changed_back_and_builds_again_only_if_it_decides_the_image(
    deployed: Stack,
) -> None:
    before = jobs(deployed)
    for name, sections, keys, again in (*((*row, {}, "")[:4] for row in ROWS), ("as at first", {}, {}, "again")):
        configure(deployed, sections, keys)
        began = time.monotonic()
        deployed.deployment.up()
        print(f"{name}: {time.monotonic() - began:.0f} s")  # noqa: T201 - for whoever reads it
        now = jobs(deployed)
        # An image of before is not built again for the setting that is off now, unless it decided.
        assert {build for build, uid in before.items() if now[build] != uid} == (set(before) if again else set()), name
        before = now
    assert set(deployed.deployment.preview()) == {"same"}


def test_what_was_loosened_by_hand_and_put_back_still_follows_its_setting(deployed: Stack) -> None:
    network, batch = client.NetworkingV1Api(deployed.cluster.api), client.BatchV1Api(deployed.cluster.api)

    def live() -> tuple[int, str]:
        policy: Any = network.read_namespaced_network_policy("builds", deployed.builds)
        schedule: Any = batch.read_namespaced_cron_job("restarter", deployed.namespace)
        return len(policy.spec.egress), schedule.spec.schedule

    before = live()
    anywhere, never = ({"op": "add", "path": f"/spec/{path}", "value": value} for path, value in BY_HAND.items())
    network.patch_namespaced_network_policy("builds", deployed.builds, [anywhere])
    batch.patch_namespaced_cron_job("restarter", deployed.namespace, [never])
    assert live() == (before[0] + 1, "0 0 1 1 *")
    deployed.deployment.up()
    assert live() == before
    collection = {"garbageCollection": {"schedule": "1 1 * * 1"}}
    try:
        configure(deployed, {"kubernetes": {"egress": []}, "registry": collection}, {})
        deployed.deployment.up()
        rules, schedule = live()
        assert rules < before[0]
        assert schedule == "1 1 * * 1"
    finally:
        configure(deployed, {}, {})
        deployed.deployment.up()
    assert live() == before


def test_a_larger_volume_replaces_no_job_and_no_volume(deployed: Stack) -> None:
    configure(deployed, {"registry": {"storageGib": 2}}, {})
    assert set(deployed.deployment.preview()) <= {"same", "update"}
