"""The operator's verbs on a real cluster, in a clone of its own: what `make up STACK=lab` promises."""

import contextlib
import dataclasses
import re
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes import client

from tests.support.operated import Operated
from tests.support.verbs import Verbs

HELLO = {"Dockerfile": 'FROM busybox:1\nCOPY a.txt /\nCMD ["cat", "/a.txt"]\n', "a.txt": "This is a simple file.\n"}


def build(files: dict[str, str]) -> dict[str, Any]:
    return {"name": "hello", "context": {"inline": files}, "resources": {"memoryMib": 256}}


@pytest.fixture(scope="module")
def stack(operated: Operated) -> Operated:
    """A clone with a stack that is not up yet."""
    operated.configure(build(HELLO))
    return operated


@pytest.fixture(scope="module")
def verbs(stack: Operated) -> Verbs:
    return stack.verbs


def pods(stack: Operated, namespace: str) -> list[Any]:
    """The pods of a namespace, none where it does not exist."""
    return list(stack.core.list_namespaced_pod(namespace).items)


def killed_when(verbs: Verbs, condition: Callable[[], object]) -> None:
    """Update, and kill Pulumi without warning when a condition holds; then recover."""

    def quietly() -> object:
        with contextlib.suppress(client.ApiException):
            return condition()
        return None

    assert verbs.kill_pulumi_when(quietly, "up")
    verbs.run("recover")


def test_an_update_that_is_killed_again_and_again_is_recovered_and_nothing_is_built_twice(
    stack: Operated, verbs: Verbs
) -> None:
    killed_when(verbs, lambda: stack.core.read_namespace(stack.builds))
    killed_when(verbs, lambda: pods(stack, stack.namespace))
    killed_when(verbs, lambda: pods(stack, stack.builds))
    verbs.run("up")
    assert len(pods(stack, stack.builds)) == 1, "the build ran once more"

    stack.configure(build({**HELLO, "a.txt": "edited\n"}))
    before = set(stack.jobs())
    killed_when(
        verbs, lambda: [job for name, job in stack.jobs().items() if name not in before and job.status.succeeded]
    )
    verbs.run("up")
    [job] = stack.jobs()
    assert job not in before
    assert (
        len([pod for pod in pods(stack, stack.builds) if pod.metadata.labels["batch.kubernetes.io/job-name"] == job])
        == 1
    )
    assert "Nothing changed" in verbs.run("up")
    assert "Nothing to recover" in verbs.run("recover")
    stack.configure(build(HELLO))


def test_up_prints_the_image_as_pushed_and_status_knows_it_too(verbs: Verbs) -> None:
    said = verbs.run("up")
    [image] = [line.split()[-1] for line in said.splitlines() if line.startswith("  image hello:")]
    assert "/hello@sha256:" in image
    status = verbs.run("status")
    assert f"{image}, built 20" in status
    assert re.search(r"^registry pod +ready since", status, re.MULTILINE)
    assert "% of its file system" in status


def test_the_sample_runs_the_image_in_a_pod_and_leaves_none(stack: Operated, verbs: Verbs) -> None:
    verbs.run("up")
    assert "  This is a simple file.\n" in verbs.run("sample")
    assert not [pod for pod in pods(stack, stack.builds) if pod.metadata.name.startswith("sample-")]


def test_doctor_tells_the_cluster_and_asks_for_no_docker_engine(stack: Operated, verbs: Verbs) -> None:
    said = verbs.run("doctor")
    version: Any = client.VersionApi(stack.cluster.api).get_code()
    assert version.git_version in said
    assert "no problem found" in said
    assert "Kubernetes plugin" in said
    assert "Docker engine" not in said


ENFORCE = "/metadata/labels/pod-security.kubernetes.io~1enforce"
SECRETS = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
EVE = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "eve"}
LOOSENED: dict[str, tuple[Any, str, str, str, Any]] = {
    "a policy's rule": (client.NetworkingV1Api, "namespaced_network_policy", "builds", "/spec/egress/-", {}),
    "a policy's field": (client.NetworkingV1Api, "namespaced_network_policy", "nothing", "/spec/egress", [{}]),
    "a role": (client.RbacAuthorizationV1Api, "namespaced_role", "restarter", "/rules/-", SECRETS),
    "a binding": (client.RbacAuthorizationV1Api, "namespaced_role_binding", "restarter", "/subjects/-", EVE),
    "a limit": (client.CoreV1Api, "namespaced_limit_range", "builds", "/spec/limits/0/default/memory", "9Gi"),
    "a quota": (client.CoreV1Api, "namespaced_resource_quota", "builds", "/spec/hard/pods", "9999"),
    "a level": (client.CoreV1Api, "namespace", "", ENFORCE, "privileged"),
    "a level's version": (client.CoreV1Api, "namespace", "", f"{ENFORCE}-version", "v1.25"),
    "a schedule": (client.BatchV1Api, "namespaced_cron_job", "restarter", "/spec/suspend", True),
}
"""What somebody does to an object: API, noun and name, a path in it, and the value put there."""


@dataclasses.dataclass
class Loosened:
    """What was loosened by hand, all at once: how each was before, and what status and plain Pulumi said."""

    before: dict[str, Any]
    status: str
    preview: str
    up: str
    after: dict[str, Any]


@pytest.fixture(scope="module")
def loosened(stack: Operated, verbs: Verbs) -> Loosened:
    """The stack, loosened by hand and brought up again by plain `pulumi`."""
    verbs.run("up")

    def each(verb: str) -> dict[str, Any]:
        found = {}
        for name, (api, noun, named, path, value) in LOOSENED.items():
            namespace = stack.namespace if named == "restarter" else stack.builds
            where = (named, namespace) if named else (namespace,)
            words = [[{"op": "add", "path": path, "value": value}]] if verb == "patch" else []
            there = getattr(api(stack.cluster.api), f"{verb}_{noun}")(*where, *words)
            plain = stack.cluster.api.sanitize_for_serialization(there)
            found[name] = [*map(plain.get, ("spec", "rules", "subjects")), plain["metadata"].get("labels")]
        return found

    before, changed = each("read"), each("patch")
    assert not [name for name in LOOSENED if before[name] == changed[name]], "nothing was changed"
    stack.core.delete_namespaced_secret("registry-pull", stack.builds)
    status = verbs.run("status", status=None)
    preview, up = verbs.plain("preview --diff"), verbs.plain("up --yes --skip-preview")
    return Loosened(before, status, preview, up, each("read"))


@pytest.mark.parametrize("name", LOOSENED)
def test_what_limits_access_and_was_loosened_by_hand_is_put_back(loosened: Loosened, name: str) -> None:
    assert loosened.after[name] == loosened.before[name]


def test_status_preview_and_up_say_what_was_loosened_by_hand(loosened: Loosened, stack: Operated, verbs: Verbs) -> None:
    # The provider sees all but the first three itself, and says so in its own way.
    kinds = ("NetworkPolicy", "Role", "RoleBinding", "Secret", "LimitRange", "ResourceQuota", "Namespace")
    assert not [kind for kind in kinds if f"{kind} {stack.namespace}" not in loosened.status]
    for said in (loosened.preview, loosened.up):
        assert not [kind for kind in kinds[:3] if f"changed by hand: {kind} {stack.namespace}" not in said]
    assert "+ kubernetes:core/v1:Secret" in loosened.preview
    assert "as declared" in verbs.run("status")
    assert "Nothing changed" in verbs.run("up")


def test_down_leaves_the_namespace_and_the_images_and_says_so(stack: Operated, verbs: Verbs) -> None:
    verbs.run("up")
    said = verbs.run("down")
    assert f"delete namespace {stack.namespace}" in said
    claims = stack.core.list_namespaced_persistent_volume_claim(stack.namespace).items
    assert "registry" in {claim.metadata.name for claim in claims}
    assert "nothing is deployed" in verbs.run("status", status=None)
    assert "Stack lab is up" in verbs.run("up"), "what stayed is taken over"
