"""Builds in user namespaces: who a step's root is on the node, and what steps see and leave of each other."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from tests.cluster.conftest import Make
from tests.cluster.test_buildkit import status
from tests.support.cluster import Stack, inline, until

BUILDERS = ("kaniko", "buildah", "buildkit")
LEVEL = {"buildsPodSecurity": "privileged"}
ON = {**LEVEL, "isolation": "userNamespaces"}
DAEMON = {"storageGib": 2, "cpuMillicores": 1000, "memoryMib": 1024}
SMALL = {"cpuMillicores": 300, "memoryMib": 256}
pytestmark = pytest.mark.timeout(900)


def build(name: str, step: str, builder: str = "buildkit", **keys: Any) -> dict[str, Any]:
    return {
        "name": name,
        "builder": builder,
        "context": inline(f"FROM alpine:latest\nRUN {step}\n"),
        "resources": SMALL,
        "cache": {"enabled": False},
        **keys,
    }


def steps_of(mark: str) -> dict[int, int]:
    """Give the node's processes whose arguments have a mark: each one's number, and its user on the node."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "cmdline").read_bytes():
                found[int(folder.name)] = folder.stat().st_uid
        except OSError:
            continue
    return found


def users(stack: Stack, marks: dict[str, str], **sections: Any) -> dict[str, int]:
    """Build by each of these builders; give the user on the node of each one's step."""
    stack.configure(*(build(name, f": {mark}; sleep 8; :", name) for name, mark in marks.items()), **sections)
    found: dict[str, int] = {}

    def look() -> bool:
        found.update({name: max(seen.values()) for name, mark in marks.items() if (seen := steps_of(mark))})
        return found.keys() == marks.keys()

    with ThreadPoolExecutor() as pool:
        update = pool.submit(stack.deployment.up)
        until(look)
        update.result()
    return found


@pytest.fixture(scope="module")
def stack(new_stack: Make, lab: Any) -> Iterator[Stack]:
    """Give a stack in the lab, whose node's processes are seen from here."""
    with new_stack() as made:
        yield made


@pytest.fixture(scope="module")
def isolated(stack: Stack) -> dict[str, int]:
    """Give by builder the user on the node of a step in a user namespace."""
    return users(stack, {each: f"isolated-{each}-{stack.namespace}" for each in BUILDERS}, kubernetes=ON)


@pytest.mark.parametrize("builder", BUILDERS)
def test_root_of_a_step_is_nobody_on_the_node(isolated: dict[str, int], builder: str) -> None:
    assert isolated[builder] >= 65536


def test_status_says_that_the_nodes_have_user_namespaces_and_a_second_update_changes_nothing(
    stack: Stack, isolated: dict[str, int]
) -> None:
    assert isolated
    assert "userNamespaces, which each node has" in status(stack)
    assert set(stack.deployment.up()) == {"same"}


@pytest.mark.parametrize("builder", BUILDERS[:2])
def test_a_pod_whose_node_ignores_the_field_fails_before_the_builder_starts(
    stack: Stack, isolated: dict[str, int], builder: str
) -> None:
    assert isolated
    template = stack.cluster.api.sanitize_for_serialization(stack.job(builder).spec.template.spec)
    assert template.pop("hostUsers") is False
    name = f"ignored-{builder}"
    stack.core.create_namespaced_pod(stack.builds, {"metadata": {"name": name}, "spec": template})
    read: Callable[[], Any] = lambda: stack.core.read_namespaced_pod(name, stack.builds).status  # noqa: E731
    try:
        until(lambda: read().phase == "Failed")
        [first, *_] = read().init_container_statuses
        assert "ci:kubernetes.isolation" in first.state.terminated.message
        assert all(each.state.waiting for each in read().container_statuses)
    finally:
        stack.core.delete_namespaced_pod(name, stack.builds, grace_period_seconds=0)


def test_the_api_takes_no_pod_of_buildkit_without_the_field(stack: Stack, isolated: dict[str, int]) -> None:
    assert isolated
    template = stack.cluster.api.sanitize_for_serialization(stack.job("buildkit").spec.template.spec)
    pod = {"metadata": {"name": "refused"}, "spec": {**template, "hostUsers": True}}
    with pytest.raises(client.ApiException, match="procMount"):
        stack.core.create_namespaced_pod(stack.builds, pod, dry_run="All")


def test_a_daemons_steps_see_no_other_process_and_leave_none(stack: Stack) -> None:
    mark = f"left-{stack.namespace}"
    alone = "! cat /proc/[0-9]*/cmdline | grep -qe 'buildkit[d]' -e 'othe[r]-'"
    leaving = f"sh -c ': {mark}; sleep 100000; :' & {alone}"
    # With its output elsewhere, the process would not keep the build open either.
    quiet = f"(sh -c ': {mark}; sleep 100000; :' > /dev/null 2>&1 < /dev/null &) ; {alone}"
    other = f": other-{stack.namespace}; sleep 10; :"
    builds = [build(name, step) for name, step in {"leaving": leaving, "quiet": quiet, "other": other}.items()]
    stack.configure(*builds, kubernetes=ON, buildkit=DAEMON)
    stack.deployment.up()
    assert steps_of(mark) == {}
    user = users(stack, {"buildkit": f"daemon-{stack.namespace}"}, kubernetes=ON, buildkit=DAEMON)
    assert user["buildkit"] >= 65536


def test_a_build_of_the_daemon_that_is_cancelled_ends_within_ten_seconds(stack: Stack) -> None:
    mark = f"cancelled-{stack.namespace}"
    ended = build("cancelled", f": {mark}; sleep 600; :", deadlineSeconds=30)
    stack.configure(ended, kubernetes=ON, buildkit=DAEMON)
    with ThreadPoolExecutor() as pool:
        update = pool.submit(stack.deployment.pulumi, "up", "--yes", "--skip-preview", status=None)
        until(lambda: steps_of(mark))
        until(lambda: [each for each in stack.job("cancelled").status.conditions or () if each.type == "Failed"])
        until(lambda: not steps_of(mark), seconds=10)
        update.result()


def test_without_the_setting_root_of_kanikos_step_is_root_on_the_node(stack: Stack) -> None:
    assert users(stack, {"kaniko": f"plain-{stack.namespace}"}, kubernetes=LEVEL) == {"kaniko": 0}
