"""The API server takes every object and drops nothing of it. The provider drops unknown fields without a word, too."""

import copy
import functools
import importlib
from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest

from components.kubernetes import cluster, preflight, queue
from tests.manifests import programs
from tests.support.manifests import ALL, Stack

library: Any = importlib.import_module("kubernetes_validate.utils")  # without types
# It would read 2 MB anew for every object.
library.schema_contents = functools.cache(library.schema_contents)

OLDEST = "{}.{}".format(*cluster.OLDEST)
"""The oldest API server that a stack is let onto."""

NEWER = "{}.{}".format(*preflight.NEWER)
"""The oldest API server that a stack with BuildKit or builds on push is let onto."""

NEWEST: str = library.latest_version()
"""The newest whose schemas are known here."""


def refused(manifest: Mapping[str, Any], version: str) -> str | None:
    """Give what an API server of this version has against an object."""
    try:
        group, _, own = manifest["apiVersion"].partition("/")
        if group in {"cert-manager.io", queue.API.partition("/")[0]}:
            jsonschema.Draft202012Validator(programs.schema(manifest["kind"], own)).validate(manifest)
        else:
            library.validate(dict(manifest), version, strict=True)
    except jsonschema.ValidationError as error:
        return f"{manifest['kind']} {manifest['metadata']['name']}: {error.json_path}: {error.message}"
    return None


def needs_newer(stack: Stack) -> bool:
    """Say whether a pod of the stack has BuildKit's container, or branches are watched."""
    return bool(stack.of("ValidatingAdmissionPolicy")) or any(
        each["name"] == "buildkit" for pod in stack.pods() for each in pod.spec["containers"]
    )


@pytest.mark.parametrize("newest", [False, True], ids=["oldest", "newest"])
@pytest.mark.parametrize("name", ALL)
def test_every_object_is_valid_for_oldest_and_newest_api(stacks: dict[str, Stack], name: str, *, newest: bool) -> None:
    stack = stacks[name]
    version = NEWEST if newest else NEWER if needs_newer(stack) else OLDEST
    assert [problem for each in stack.objects if (problem := refused(each, version))] == []


def test_the_oldest_version_is_one_whose_schemas_are_known() -> None:
    # An older one would be judged by the oldest schemas that there are.
    assert OLDEST in {known.rpartition(".")[0] for known in library.all_versions()}


@pytest.mark.parametrize(
    "kind", ["StatefulSet", "Deployment", "CronJob", "Job", "NetworkPolicy", "Certificate", "LocalQueue"]
)
def test_a_field_that_does_not_exist_is_seen(stacks: dict[str, Stack], kind: str) -> None:
    wrong = copy.deepcopy(next(each for stack in stacks.values() for each in stack.of(kind)))
    wrong["spec"]["misspelt"] = "x"
    assert "misspelt" in (refused(wrong, NEWEST) or "")


def test_no_two_objects_of_a_stack_are_the_same(stacks: dict[str, Stack]) -> None:
    for stack in stacks.values():
        keys = [
            (each["apiVersion"], each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"])
            for each in stack.objects
        ]
        assert len(set(keys)) == len(keys), stack.name


def test_every_kind_of_object_that_the_platform_has_is_in_one_of_these_stacks(stacks: dict[str, Stack]) -> None:
    assert {each["kind"] for stack in stacks.values() for each in stack.objects} == {
        *("Namespace", "ResourceQuota", "LimitRange", "ServiceAccount", "Role", "RoleBinding", "NetworkPolicy"),
        *("PersistentVolumeClaim", "Secret", "ConfigMap", "Certificate", "Service", "Ingress"),
        *("StatefulSet", "Deployment", "Job", "CronJob"),
        *("ResourceFlavor", "ClusterQueue", "LocalQueue"),
        *("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ClusterRole", "ClusterRoleBinding"),
    }
