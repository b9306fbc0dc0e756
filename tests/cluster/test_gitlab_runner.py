"""A GitLab Runner on a real cluster: deployed, its rights, its token rotated; and what a real one does, where it is.

As in tests/live, a stand-in starts in its place, unless CI_TEST_GITLAB_RUNNER and CI_TEST_GITLAB_HELPER name images of
the real one that the nodes have. Then the sample's job is run, with CI_TEST_KANIKO_DEBUG as a builder with a shell.
"""

import base64
import functools
import json
import os
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from kubernetes import client

from components.gitlab import config
from tests.support import fake_gitlab, gitlab
from tests.support.cluster import Cluster, Stack, until
from tests.support.fake_gitlab import FakeGitlab
from tests.support.verbs import ROOT

TOKEN = f"glrt-canary_{secrets.token_hex(12)}"
EXAMPLE = ROOT / "examples" / "gitlab-kubernetes"
RUNNER = os.environ.get("CI_TEST_GITLAB_RUNNER")
HELPER = os.environ.get("CI_TEST_GITLAB_HELPER")
KANIKO = os.environ.get("CI_TEST_KANIKO_DEBUG")
NO_RUNNER = "no GitLab Runner: CI_TEST_GITLAB_RUNNER, _HELPER and CI_TEST_KANIKO_DEBUG name no images of one"
OWN = "app.kubernetes.io/name=gitlab-runner"


@pytest.fixture(scope="module")
def gitlab_server(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeGitlab]:
    """A GitLab that the lab's pods reach: at this machine's end of the lab's wire."""
    address = cluster.lab.host_address if cluster.lab is not None else "127.0.0.1"
    with fake_gitlab.serve(address, TOKEN, tmp_path_factory.mktemp("gitlab"), EXAMPLE) as fake:
        yield fake


@pytest.fixture(scope="module")
def runner(cluster: Cluster, gitlab_server: FakeGitlab) -> dict[str, Any]:
    """The committed stack's section, with what this machine has in the place of what it would pull."""
    image = RUNNER or (cluster.lab.images["gitlab-runner"] if cluster.lab is not None else None)
    if image is None:
        pytest.skip("no stand-in for GitLab Runner on a cluster of yours: CI_TEST_GITLAB_RUNNER names no image")
    stack = yaml.safe_load((ROOT / "examples/stacks/Pulumi.gitlab-kubernetes.yaml").read_text())["config"]
    own = {
        "url": gitlab_server.url,
        "plainHttp": True,
        "image": image,
        "checkIntervalSeconds": 1,
        "stopTimeoutSeconds": 5,
        "jobs": {"cpuMillicores": 500, "memoryMib": 512, "diskMib": 2048},
        **({"helperImage": HELPER} if HELPER else {}),
    }
    return {**stack["ci:gitlabRunner"], **own}


@pytest.fixture(scope="module")
def deployed(stack: Stack, runner: dict[str, Any]) -> Stack:
    stack.configure(gitlabRunner=runner)
    stack.deployment.secret("gitlabRunnerToken", TOKEN)
    stack.deployment.up()
    return stack


def pod(stack: Stack, before: str | None = None) -> Any:
    """Await the runner's only pod, another than the one of this uid; no pod that is on its way out counts."""

    def only() -> Any:
        found = stack.core.list_namespaced_pod(stack.namespace, label_selector=OWN).items
        left = [each for each in found if each.metadata.deletion_timestamp is None]
        return left[0] if len(found) == len(left) == 1 and left[0].metadata.uid != before else None

    return until(only)


def files(stack: Stack) -> Any:
    return stack.core.read_namespaced_secret("gitlab-runner", stack.namespace)


def configuration(stack: Stack) -> dict[str, Any]:
    return gitlab.config(base64.b64decode(files(stack).data[config.CONFIG]).decode())


def test_a_second_update_changes_nothing_and_the_runner_is_up_in_a_restricted_namespace(deployed: Stack) -> None:
    assert set(deployed.deployment.up()) == {"same"}
    labels = deployed.core.read_namespace(deployed.namespace).metadata.labels
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    status = pod(deployed).status.container_statuses[0]
    assert (status.ready, status.restart_count) == (True, 0)


def test_the_token_is_in_one_secret_and_nowhere_in_clear(deployed: Stack) -> None:
    named = pod(deployed).metadata.name
    plain: Any = deployed.cluster.api.sanitize_for_serialization
    apps: Any = client.AppsV1Api(deployed.cluster.api)
    shown = {
        "the Deployment": json.dumps(plain(apps.read_namespaced_deployment("gitlab-runner", deployed.namespace))),
        "the pod": json.dumps(plain(pod(deployed))),
        "its log": deployed.core.read_namespaced_pod_log(named, deployed.namespace),
        "events": json.dumps(plain(deployed.core.list_namespaced_event(deployed.namespace).items)),
        "ConfigMaps": json.dumps(plain(deployed.core.list_namespaced_config_map(deployed.namespace).items)),
        "the state": deployed.deployment.state(),
        "the outputs": json.dumps(deployed.deployment.outputs()),
        "what Pulumi printed": "".join(deployed.deployment.said),
    }
    for path in (deployed.deployment.root.parent / "state").rglob("*"):
        if path.is_file():
            shown[str(path)] = path.read_bytes().decode(errors="replace")
    assert not {place for place, text in shown.items() if TOKEN in text}
    assert configuration(deployed)["runners"][0]["token"] == TOKEN


@pytest.mark.parametrize(
    ("verb", "resource", "name", "in_builds"),
    [
        ("create", "pods", "", True),
        ("create", "pods/exec", "", True),
        ("delete", "pods", "", True),
        ("create", "secrets", "", True),
        ("get", "secrets", "registry-pull", True),
        ("get", "secrets", "registry-push", False),
        ("list", "secrets", "", False),
        ("get", "secrets", "gitlab-runner", False),
        ("create", "configmaps", "", False),
        ("create", "deployments", "", False),
        ("update", "pods", "", False),
        ("create", "serviceaccounts/token", "", False),
    ],
)
def test_it_may_do_what_jobs_take_in_the_builds_namespace_and_nothing_anywhere_else(
    deployed: Stack, verb: str, resource: str, name: str, *, in_builds: bool
) -> None:
    def may(namespace: str) -> bool:
        kind, _, part = resource.partition("/")
        attributes = {"namespace": namespace, "verb": verb, "resource": kind, "subresource": part, "name": name}
        if kind == "deployments":
            attributes["group"] = "apps"
        user = f"system:serviceaccount:{deployed.namespace}:gitlab-runner"
        review = {"spec": {"user": user, "resourceAttributes": attributes}}
        ask: Any = client.AuthorizationV1Api(deployed.cluster.api).create_subject_access_review
        answer = ask(review)
        return bool(answer.status.allowed)

    assert may(deployed.builds) is in_builds
    assert not may(deployed.namespace)
    assert not may("default")


def test_a_jobs_pod_is_let_into_the_builds_namespace_and_one_with_more_rights_is_not(deployed: Stack) -> None:
    spec = gitlab.job_pod(configuration(deployed))

    def refusal() -> str:
        try:
            deployed.core.create_namespaced_pod(
                deployed.builds, {"metadata": {"name": "job"}, "spec": spec}, dry_run="All"
            )
        except client.ApiException as error:
            return str(json.loads(error.body or "{}")["message"])
        return ""

    assert refusal() == ""
    spec["containers"][0]["securityContext"]["privileged"] = True
    spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    assert 'violates PodSecurity "baseline' in refusal()


@pytest.mark.skipif(not (RUNNER and HELPER and KANIKO), reason=NO_RUNNER)
def test_a_real_runner_builds_the_sample_in_a_pod_and_pushes_it(deployed: Stack, gitlab_server: FakeGitlab) -> None:
    job = yaml.safe_load((EXAMPLE / ".gitlab-ci.yml").read_text())["build"]
    gitlab_server.offer(1, {**job, "image": {**job["image"], "name": KANIKO}})
    until(lambda: gitlab_server.states.get("1") in {"success", "failed"}, seconds=180)
    trace = gitlab_server.traces["1"]
    assert gitlab_server.states["1"] == "success", trace
    pushed = deployed.digest("team-hello", gitlab_server.commit()[:8])
    assert pushed is not None
    assert f"localhost:{deployed.node_port}/team-hello@{pushed}" in trace
    assert "correct-horse-battery" not in trace
    # Its role was enough.
    log = deployed.core.read_namespaced_pod_log(pod(deployed).metadata.name, deployed.namespace)
    assert "forbidden" not in f"{log}{trace}".lower()
    # The pod of a job goes with the job.
    until(lambda: not deployed.core.list_namespaced_pod(deployed.builds).items)


def test_root_in_an_isolated_job_is_nobody_on_the_node_and_a_job_without_the_namespace_starts_nothing(
    deployed: Stack, runner: dict[str, Any], lab: Any
) -> None:
    deployed.configure(gitlabRunner=runner, kubernetes={"isolation": "userNamespaces"})
    deployed.deployment.up()
    spec = gitlab.job_pod(configuration(deployed))
    [*_, first] = spec["initContainers"]
    # Where the runner has a job's files, and where an image may have its own.
    script = "read -r _ outside _ < /proc/self/uid_map; touch /builds/made; mkdir /made; echo $outside"
    mounts = [{"name": "repo", "mountPath": "/builds"}]
    own = {"image": lab.images["git"], "command": ["/bin/sh", "-euc", script], "volumeMounts": mounts}
    job = {**spec, "initContainers": [first], "containers": [{**spec["containers"][0], **own}]}

    def ended(name: str, host_users: object) -> Any:
        found = {"metadata": {"name": name}, "spec": {**job, "hostUsers": host_users}}
        deployed.core.create_namespaced_pod(deployed.builds, found)
        read = functools.partial(deployed.core.read_namespaced_pod, name, deployed.builds)
        until(lambda: read().status.phase in {"Succeeded", "Failed"})
        return read().status

    assert ended("isolated", spec["hostUsers"]).phase == "Succeeded"
    assert int(deployed.core.read_namespaced_pod_log("isolated", deployed.builds)) >= 65536
    # What a node does that does not know the field.
    failed = ended("ignored", None)
    assert failed.container_statuses[0].state.waiting
    assert "ci:kubernetes.isolation" in failed.init_container_statuses[0].state.terminated.message


def test_another_token_is_one_new_pod_and_the_same_machine_to_gitlab(deployed: Stack) -> None:
    # The last test, since the GitLab of the others does not know this token.
    before, was = pod(deployed).metadata.uid, files(deployed)
    deployed.deployment.secret("gitlabRunnerToken", f"{TOKEN}-rotated")
    changes = deployed.deployment.up()
    assert {kind: count for kind, count in changes.items() if kind != "same"} == {"update": 2}
    pod(deployed, before)
    assert configuration(deployed)["runners"][0]["token"] == f"{TOKEN}-rotated"
    assert files(deployed).metadata.uid == was.metadata.uid
    assert files(deployed).data[config.SYSTEM_ID] == was.data[config.SYSTEM_ID]
