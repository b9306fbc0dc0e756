"""The Pod Security levels that the namespaces claim, judged by the library that the API server itself asks."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from components.kubernetes.builders import BUILDERS
from components.settings import BuildSettings
from components.settings.pod_security import NEEDS, RUNNERS_JOBS, Builder, Level
from ops.sample import manifest
from tests.manifests import programs
from tests.manifests.test_schema import OLDEST
from tests.support.manifests import ALL, DAEMON, EVERY_BUILDER, EVERYTHING, LEAST, STACKS, Pod, Stack

VERSIONS = (f"v{OLDEST}", "latest")
"""A namespace without a version is held to the standards of the API server's own release."""

LEVELS = {EVERY_BUILDER: "privileged", "buildkit": "privileged", LEAST: "restricted", DAEMON: "restricted"}
"""What those stacks ask for that build with BuildKit, or not at all. The others have baseline."""


def judge(pods: list[Pod], version: str) -> list[dict[str, list[str]]]:
    """Give what each pod violates by level; nothing is ever a violation of `privileged`."""
    found = programs.pod_security([{"metadata": dict(pod.metadata), "spec": dict(pod.spec)} for pod in pods], version)
    return [{"privileged": [], **each} for each in found]


def checks(violated: list[str]) -> set[str]:
    """Give the checks behind violations, as settings name them: a check's two forms, one a level, are one."""
    names = (each.partition(": ")[0] for each in violated)
    return {name.removesuffix("_baseline").removesuffix("_restricted") for name in names}


def allowed(pod: Pod, version: str) -> set[str]:
    """Give the checks that a user namespace makes good: root in there is nobody. Since Kubernetes 1.35."""
    return {"runAsNonRoot", "runAsUser"} if version == "latest" and pod.spec.get("hostUsers") is False else set()


def builds(stack: Stack) -> Iterator[Pod]:
    """Give the pods of the stack's builds."""
    return (pod for pod in stack.pods() if pod.namespace.endswith("-builds"))


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
def test_every_pod_passes_the_level_its_namespace_claims(stacks: dict[str, Stack], name: str, version: str) -> None:
    pods = [*stacks[name].pods(), *stacks[name].jobs()]
    claimed = claims(stacks[name])
    for namespace, modes in claimed.items():
        expected = LEVELS.get(name, "baseline") if namespace.endswith("-builds") else "restricted"
        expected = "privileged" if (name, namespace) == (DAEMON, "ci-buildkit") else expected
        named = dict.fromkeys(("enforce", "audit", "warn"), expected)
        assert modes == {**named, "enforce-version": "latest"}, namespace
    for pod, verdict in zip(pods, judge(pods, version), strict=True):
        assert verdict[claimed[pod.namespace]["enforce"]] == [], pod.owner


def test_the_registry_its_mirror_its_restarter_and_a_gitlab_runner_are_among_what_is_judged_as_restricted(
    stacks: dict[str, Stack],
) -> None:
    pods = [pod for pod in stacks[EVERYTHING].pods() if pod.namespace == "ci"]
    assert {pod.owner for pod in pods} == {
        *("StatefulSet registry-server", "StatefulSet mirror-server", "CronJob restarter", "Deployment gitlab-runner")
    }
    # The collector is an init container of the registry's, so it was judged with it.
    [registry] = [pod for pod in pods if pod.owner == "StatefulSet registry-server"]
    assert [each["name"] for each in registry.spec["initContainers"]] == ["collect"]


@pytest.mark.parametrize("version", VERSIONS)
def test_each_builder_fails_just_the_checks_that_a_refusal_names_with_every_kind_of_context(
    stacks: dict[str, Stack], version: str
) -> None:
    pods = [*builds(stacks[EVERYTHING]), *builds(stacks[EVERY_BUILDER])]
    seen: set[tuple[str, bool]] = set()
    for pod, verdict in zip(pods, judge(pods, version), strict=True):
        [container] = pod.spec["containers"]
        builder: Builder = container["name"]
        fetched = "fetch" in {each["name"] for each in pod.spec.get("initContainers", ())}
        seen.add((builder, fetched))
        levels: tuple[Level, ...] = ("restricted", "baseline")
        for level in levels:
            named = set(NEEDS[builder].refused_by.get(level, ()))
            # What clones is root, and no more; `baseline` lets it be.
            more = {"runAsNonRoot"} if fetched and level == "restricted" else set()
            assert checks(verdict[level]) == (named | more) - allowed(pod, version), (pod.owner, level)
    assert seen == {(builder, fetched) for builder in BUILDERS for fetched in (False, True)}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_gitlab_runners_jobs_and_make_sample_pass_baseline_and_miss_restricted_by_just_what_is_said(
    stacks: dict[str, Stack], version: str
) -> None:
    first, second = (job for name in ("gitlab-kubernetes", EVERYTHING) for job in stacks[name].jobs())
    made = manifest("web", "registry.example.org/web@sha256:00", "registry-pull")
    sample = Pod("Pod sample", "ci-builds", made["metadata"], made["spec"])
    assert {first.namespace, second.namespace} == {"ci-builds"}
    for pod, verdict in zip((first, second, sample), judge([first, second, sample], version), strict=True):
        assert verdict["baseline"] == [], pod.owner
        named = {"runAsNonRoot"} if pod is sample else set(RUNNERS_JOBS.refused_by["restricted"])
        assert checks(verdict["restricted"]) == named - allowed(pod, version), pod.owner


def test_what_clones_a_repository_is_root_without_a_single_capability(stacks: dict[str, Stack]) -> None:
    pods = [pod for pod in stacks[EVERYTHING].pods() if pod.namespace == "ci-builds"]
    alone = []
    for pod in pods:
        for container in pod.spec.get("initContainers", ()):
            if container["name"] == "fetch":
                spec = {**pod.spec, "hostUsers": True, "containers": [container], "initContainers": []}
                alone.append(Pod(pod.owner, pod.namespace, pod.metadata, spec))
    assert alone
    for verdict in judge(alone, "latest"):
        # ssh knows no user but those in the image, and of those only root can read the mounted key.
        assert checks(verdict["restricted"]) == {"runAsNonRoot"}


def test_every_builder_and_every_kind_of_context_is_among_what_is_judged() -> None:
    for name, stack in {"kaniko": EVERYTHING, "buildkit": EVERY_BUILDER, "buildah": EVERY_BUILDER}.items():
        found = [BuildSettings.model_validate_json(json.dumps(build)) for build in STACKS[stack]["builds"]]
        own = [build.context for build in found if build.builder == name]
        kinds = {kind for context in own for kind, value in context if value is not None}
        assert kinds == set(type(own[0]).model_fields), name


@pytest.mark.parametrize(
    ("container", "pod", "check"),
    [
        ({"privileged": True}, {}, "privileged"),
        ({"capabilities": {"add": ["SYS_ADMIN"]}}, {}, "capabilities"),
        ({"seccompProfile": {"type": "Unconfined"}}, {}, "seccompProfile"),
        ({}, {"hostNetwork": True}, "hostNamespaces"),
        ({}, {"volumes": [{"name": "node", "hostPath": {"path": "/"}}]}, "hostPathVolumes"),
    ],
)
def test_a_build_that_took_more_would_be_refused(
    stacks: dict[str, Stack], container: dict[str, Any], pod: dict[str, Any], check: str
) -> None:
    made = next(each for each in stacks["prod"].pods() if each.namespace == "ci-builds")
    spec = {**copy.deepcopy(dict(made.spec)), **pod}
    spec["containers"][0]["securityContext"].update(container)
    [verdict] = judge([Pod(made.owner, made.namespace, made.metadata, spec)], "latest")
    assert check in checks(verdict["baseline"])


def test_a_misspelt_field_is_no_pod_that_is_judged_without_it(stacks: dict[str, Stack]) -> None:
    made = next(iter(stacks["prod"].pods()))
    misspelt = Pod(made.owner, made.namespace, made.metadata, {**made.spec, "hostNetwrok": True})
    with pytest.raises(AssertionError, match="hostNetwrok"):
        judge([misspelt], "latest")
