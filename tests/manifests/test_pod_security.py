"""The Pod Security levels that the namespaces claim, judged by the library that the API server itself asks."""

import copy
import json
from typing import Any

import pytest

from components.kubernetes.builders import BUILDERS, LEVELS
from components.settings import BuildSettings
from tests.manifests import programs
from tests.manifests.stacks import ALL
from tests.manifests.test_schema import OLDEST
from tests.support.manifests import EVERYTHING, Pod, Stack
from tests.support.pod_security import breaches

VERSIONS = (f"v{OLDEST}", "latest")
"""A namespace without a version is held to the standards of the API server's own release."""

KANIKO_IS_NOT_RESTRICTED = {"runAsNonRoot != true", "runAsUser=0", "unrestricted capabilities"}
"""Kaniko unpacks an image over its own root file system, and changes owners there: this, and nothing beyond."""


def judge(pods: list[Pod], version: str) -> list[dict[str, list[str]]]:
    """Give what each pod violates by level; nothing is ever a violation of `privileged`."""
    found = programs.pod_security([{"metadata": dict(pod.metadata), "spec": dict(pod.spec)} for pod in pods], version)
    return [{"privileged": [], **each} for each in found]


def claims(stack: Stack) -> dict[str, dict[str, str]]:
    """Give by namespace what its labels claim: by mode, the level."""
    prefix = "pod-security.kubernetes.io/"
    return {
        each["metadata"]["name"]: {
            key.removeprefix(prefix): value
            for key, value in each["metadata"]["labels"].items()
            if key.startswith(prefix)
        }
        for each in stack.of("Namespace")
    }


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ALL)
def test_each_namespace_claims_the_strictest_level_that_lets_its_pods_in(
    stacks: dict[str, Stack], name: str, version: str
) -> None:
    pods = [*stacks[name].pods(), *stacks[name].jobs()]
    verdicts = judge(pods, version)
    for namespace, claimed in claims(stacks[name]).items():
        inside = [verdict for pod, verdict in zip(pods, verdicts, strict=True) if pod.namespace == namespace]
        strictest = next(level for level in LEVELS if not any(verdict[level] for verdict in inside))
        assert claimed == dict.fromkeys(("enforce", "audit", "warn"), strictest), namespace


@pytest.mark.parametrize("version", VERSIONS)
def test_the_registry_its_mirror_its_restarter_and_a_gitlab_runner_pass_restricted(
    stacks: dict[str, Stack], version: str
) -> None:
    pods = [pod for pod in stacks["everything"].pods() if pod.namespace == "ci"]
    assert {pod.owner for pod in pods} == {
        "StatefulSet registry",
        "StatefulSet mirror",
        "CronJob restarter",
        "Deployment gitlab-runner",
    }
    assert [verdict["restricted"] for verdict in judge(pods, version)] == [[], [], [], []]
    # The collector is an init container of the registry's, so it was judged with it.
    [registry] = [pod for pod in pods if pod.owner == "StatefulSet registry"]
    assert [each["name"] for each in registry.spec["initContainers"]] == ["collect"]


@pytest.mark.parametrize("version", VERSIONS)
def test_kaniko_passes_baseline_with_every_kind_of_context_and_misses_restricted_by_three_checks_alone(
    stacks: dict[str, Stack], version: str
) -> None:
    pods = [pod for pod in stacks["everything"].pods() if pod.namespace == "ci-builds"]
    jobs = {pod.owner.removeprefix("Job ").rpartition("-")[0] for pod in pods if pod.owner.startswith("Job ")}
    assert jobs == {build["name"] for build in EVERYTHING["builds"]}
    for pod, verdict in zip(pods, judge(pods, version), strict=True):
        assert verdict["baseline"] == [], pod.owner
        assert {reason.partition(": ")[0] for reason in verdict["restricted"]} == KANIKO_IS_NOT_RESTRICTED, pod.owner


@pytest.mark.parametrize("version", VERSIONS)
def test_a_gitlab_runners_jobs_pass_baseline_and_miss_restricted_by_what_kaniko_takes(
    stacks: dict[str, Stack], version: str
) -> None:
    for name in ("gitlab-kubernetes", "everything"):
        [job] = stacks[name].jobs()
        [verdict] = judge([job], version)
        assert job.namespace == "ci-builds"
        assert verdict["baseline"] == []
        missed = {reason.partition(": ")[0] for reason in verdict["restricted"]}
        assert missed <= KANIKO_IS_NOT_RESTRICTED


def test_what_clones_a_repository_is_root_without_a_single_capability(stacks: dict[str, Stack]) -> None:
    pods = [pod for pod in stacks["everything"].pods() if "initContainers" in pod.spec and pod.namespace == "ci-builds"]
    assert pods
    alone = []
    for pod in pods:
        spec = {**pod.spec, "containers": pod.spec["initContainers"]}
        alone.append(Pod(pod.owner, pod.namespace, pod.metadata, {**spec, "initContainers": []}))
    for verdict in judge(alone, "latest"):
        # ssh knows no user but those in the image, and of those only root can read the mounted key.
        assert [reason.partition(": ")[0] for reason in verdict["restricted"]] == ["runAsNonRoot != true"]


def test_every_builder_and_every_kind_of_context_is_among_what_is_judged() -> None:
    builds = [BuildSettings.model_validate_json(json.dumps(build)) for build in EVERYTHING["builds"]]
    assert {build.builder for build in builds} == set(BUILDERS)
    kinds = {kind for build in builds for kind, value in build.context if value is not None}
    assert kinds == set(type(builds[0].context).model_fields)


def test_the_component_tests_own_reading_of_the_standards_agrees_with_the_library(stacks: dict[str, Stack]) -> None:
    pods = [pod for stack in stacks.values() for pod in stack.pods()]
    for pod, verdict in zip(pods, judge(pods, "latest"), strict=True):
        for level in ("baseline", "restricted"):
            assert bool(breaches(pod.spec, level)) == bool(verdict[level]), (pod.owner, level)


@pytest.mark.parametrize(
    ("container", "pod", "reason"),
    [
        ({"privileged": True}, {}, "privileged"),
        ({"capabilities": {"add": ["SYS_ADMIN"]}}, {}, "non-default capabilities"),
        ({"seccompProfile": {"type": "Unconfined"}}, {}, "seccompProfile"),
        ({}, {"hostNetwork": True}, "host namespaces"),
        ({}, {"volumes": [{"name": "node", "hostPath": {"path": "/"}}]}, "hostPath volumes"),
    ],
)
def test_a_build_that_took_more_would_be_refused(
    stacks: dict[str, Stack], container: dict[str, Any], pod: dict[str, Any], reason: str
) -> None:
    made = next(each for each in stacks["prod"].pods() if each.namespace == "ci-builds")
    spec = {**copy.deepcopy(dict(made.spec)), **pod}
    spec["containers"][0]["securityContext"].update(container)
    [verdict] = judge([Pod(made.owner, made.namespace, made.metadata, spec)], "latest")
    assert reason in {each.partition(": ")[0] for each in verdict["baseline"]}


def test_a_misspelt_field_is_no_pod_that_is_judged_without_it(stacks: dict[str, Stack]) -> None:
    made = next(iter(stacks["prod"].pods()))
    misspelt = Pod(made.owner, made.namespace, made.metadata, {**made.spec, "hostNetwrok": True})
    with pytest.raises(AssertionError, match="hostNetwrok"):
        judge([misspelt], "latest")
