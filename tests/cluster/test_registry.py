"""The registry on a real cluster: who gets in, what survives, what is collected, and who reaches whom."""

import shutil
import subprocess
from typing import Any

import pytest
from kubernetes import client

from tests.support.cluster import Stack, inline, logins, until

FROM = "FROM alpine:latest\n"
ONE = {
    "name": "one",
    "context": inline(f"{FROM}RUN head -c 300000 /dev/urandom > /noise\n"),
    "cache": {"enabled": False},
}
TWO = {"name": "two", "context": inline(f'{FROM}CMD ["echo", "two"]\n')}
INDEX = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.fixture(scope="module")
def deployed(stack: Stack) -> Stack:
    """Give the stack with two images in its registry."""
    stack.configure(ONE, TWO)
    stack.deployment.up()
    return stack


@pytest.mark.parametrize(
    ("password", "status"), [(None, 401), ("wrong-horse-battery", 401), ("correct-horse-battery", 200)]
)
def test_only_the_right_password_gets_in(deployed: Stack, password: str | None, status: int) -> None:
    assert deployed.ask("/v2/_catalog", password=password).status_code == status


def test_the_pull_secret_names_the_registry_as_builds_and_as_nodes_know_it(deployed: Stack) -> None:
    outputs = deployed.deployment.outputs()
    secret = deployed.core.read_namespaced_secret(outputs["pullSecret"], deployed.builds)
    assert set(logins(secret)) == {f"registry.{deployed.namespace}.svc:5000", f"localhost:{deployed.node_port}"}


def test_a_rotated_password_lets_the_old_one_in_no_more_and_loses_nothing(deployed: Stack) -> None:
    before = deployed.digest("two", "latest")
    jobs = {name: job.metadata.uid for name, job in deployed.jobs().items()}
    deployed.deployment.secret("registryPassword", "another-horse-battery")
    deployed.deployment.up()
    assert deployed.ask("/v2/_catalog").status_code == 401
    assert deployed.ask("/v2/_catalog", password="another-horse-battery").status_code == 200
    deployed.deployment.secret("registryPassword", "correct-horse-battery")
    deployed.deployment.up()
    assert deployed.digest("two", "latest") == before
    assert {name: job.metadata.uid for name, job in deployed.jobs().items()} == jobs


def test_a_registry_that_is_killed_comes_back_with_every_image(deployed: Stack) -> None:
    before = deployed.digest("one", "latest"), deployed.digest("two", "latest")
    assert None not in before
    restart(deployed)
    assert (deployed.digest("one", "latest"), deployed.digest("two", "latest")) == before
    assert deployed.run(deployed.deployment.outputs()["images"]["two"]) == "two\nSucceeded"


def restart(stack: Stack) -> None:
    """Delete the registry's pod, and wait for the next one."""
    old = stack.core.read_namespaced_pod("registry-0", stack.namespace).metadata.uid
    stack.core.delete_namespaced_pod("registry-0", stack.namespace)
    until(lambda: is_new(stack, old))


def is_new(stack: Stack, old: str) -> bool:
    try:
        pod = stack.core.read_namespaced_pod("registry-0", stack.namespace)
    except client.ApiException:
        return False
    ready = [condition.status for condition in pod.status.conditions or () if condition.type == "Ready"]
    return bool(pod.metadata.uid != old and ready == ["True"])


def inside(stack: Stack, command: str) -> str:
    """Run a command in the registry's container; give what it says."""
    lab = stack.cluster.lab
    kubectl = str(lab.kubectl) if lab is not None else shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl on this machine, by which to look into the registry's volume")
    place = ["--kubeconfig", str(stack.cluster.kubeconfig), "--namespace", stack.namespace]
    line = [kubectl, *place, "exec", "registry-0", "--container", "registry", "--", "sh", "-c", command]
    return subprocess.run(line, check=True, capture_output=True, text=True, timeout=60).stdout


def used(stack: Stack) -> int:
    """Give how many bytes of layers the registry holds."""
    return int(inside(stack, "du -sk /var/lib/registry/docker/registry/v2/blobs | cut -f1")) * 1024


def test_the_schedule_collects_what_was_deleted_and_nothing_else(deployed: Stack) -> None:
    image, kept = deployed.digest("one", "latest"), deployed.digest("two", "latest")
    before = used(deployed)
    inside(deployed, "rm -f /var/lib/registry/.collected")  # else a restart a minute ago counts as the collection
    assert deployed.ask(f"/v2/one/manifests/{image}", "DELETE").status_code == 202
    batch = client.BatchV1Api(deployed.cluster.api)
    collect_now: Any = {"metadata": {"name": "now"}, "spec": template(batch, deployed)}
    old = deployed.core.read_namespaced_pod("registry-0", deployed.namespace).metadata.uid
    batch.create_namespaced_job(deployed.namespace, collect_now)
    until(lambda: is_new(deployed, old))
    assert before - used(deployed) > 250_000
    assert deployed.digest("two", "latest") == kept
    assert deployed.run(deployed.deployment.outputs()["images"]["two"]) == "two\nSucceeded"


def template(batch: client.BatchV1Api, stack: Stack) -> object:
    """Give the spec of the Job that the schedule would start."""
    schedule = batch.read_namespaced_cron_job("restarter", stack.namespace)
    assert schedule.spec is not None
    return schedule.spec.job_template.spec


def test_what_restarts_the_registry_may_do_nothing_else(deployed: Stack) -> None:
    api = client.RbacAuthorizationV1Api(deployed.cluster.api)
    role = api.read_namespaced_role("restarter", deployed.namespace)
    rules: Any = role.rules
    [rule] = rules
    assert (rule.resources, rule.resource_names) == (["pods"], ["registry-0"])
    assert set(rule.verbs) == {"get", "delete"}


def test_a_destroyed_stack_leaves_its_images_and_the_next_one_has_them(deployed: Stack) -> None:
    image = deployed.digest("two", "latest")
    deployed.deployment.destroy()
    kept = deployed.core.list_namespaced_persistent_volume_claim(deployed.namespace).items
    assert "registry" in {claim.metadata.name for claim in kept}
    assert not deployed.core.list_namespaced_secret(deployed.namespace).items
    deployed.configure(ONE)
    deployed.deployment.up()
    assert deployed.digest("two", "latest") == image
