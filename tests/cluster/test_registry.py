"""The registry on a real cluster: who logs in, what survives, what is collected, and who reaches whom."""

import base64
import hashlib
import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
import requests
from kubernetes import client

from components.password import bcrypted
from tests.support.cluster import PASSWORD, Stack, inline, logins, until

FROM = "FROM alpine:latest\n"
ONE = {
    "name": "one",
    "context": inline(f"{FROM}RUN head -c 300000 /dev/urandom > /noise\n"),
    "cache": {"enabled": False},
}
TWO = {"name": "two", "context": inline(f'{FROM}CMD ["echo", "two"]\n')}
NOWHERE = {"egress": ["192.0.2.1/32"]}
"""Builds may connect to one address that nobody has, so to nothing outside the cluster."""


@pytest.fixture(scope="module")
def deployed(stack: Stack) -> Stack:
    """Give the stack with two images in its registry."""
    stack.configure(ONE, TWO)
    stack.deployment.up()
    return stack


@pytest.mark.parametrize(("password", "status"), [(None, 401), ("wrong-horse-battery", 401), (PASSWORD, 200)])
def test_only_the_right_password_gets_in(deployed: Stack, password: str | None, status: int) -> None:
    assert deployed.ask("/v2/_catalog", password=password).status_code == status


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v2/two/blobs/uploads/"), ("PUT", "/v2/two/manifests/mine"), ("DELETE", "/v2/two/manifests/{digest}")],
)
def test_the_pull_secrets_account_reads_and_neither_pushes_nor_deletes(deployed: Stack, method: str, path: str) -> None:
    digest = deployed.digest("two", "latest")
    secret = deployed.core.read_namespaced_secret("registry-pull", deployed.builds)
    user, password = base64.b64decode(next(iter(logins(secret).values()))["auth"]).decode().split(":")
    read = deployed.ask("/v2/two/manifests/latest", user=user, password=password)
    written = deployed.ask(path.format(digest=digest), method, user=user, password=password)
    assert (read.status_code, written.status_code) == (200, 403)
    assert written.json()["errors"][0]["code"] == "DENIED"
    assert deployed.digest("two", "latest") == digest


def test_a_user_with_repositories_pushes_there_and_nowhere_else(deployed: Stack) -> None:
    password = "correct-horse-team"
    team = {"name": "team", "passwordHash": bcrypted(password, realm="test", cost=10), "push": True}

    def write(method: str, path: str) -> int:
        return int(deployed.ask(path, method, user="team", password=password).status_code)

    digest = deployed.digest("two", "latest")
    try:
        deployed.configure(ONE, TWO, kubernetes=NOWHERE, registry={"users": [{**team, "repositories": ["team/*"]}]})
        deployed.deployment.up()
        assert write("POST", "/v2/team/website/blobs/uploads/") == 202
        assert deployed.ask("/v2/two/manifests/latest", user="team", password=password).status_code == 200
        refused = [
            ("POST", "/v2/two/blobs/uploads/"),
            ("PUT", "/v2/team/manifests/x"),
            ("DELETE", f"/v2/two/manifests/{digest}"),
        ]
        assert [write(*each) for each in refused] == [403] * 3
        assert deployed.ask("/v2/team/website/blobs/uploads/", "POST", user="team", password="wrong").status_code == 401
        assert deployed.digest("two", "latest") == digest
    finally:
        deployed.configure(ONE, TWO, kubernetes=NOWHERE)
        deployed.deployment.up()


def test_a_build_reaches_the_registry_alone_and_what_is_refused_is_reached_without_the_policies(
    deployed: Stack,
) -> None:
    image = deployed.deployment.outputs()["images"]["two"]
    api = client.NetworkingV1Api(deployed.cluster.api)
    found: Any = api.list_namespaced_network_policy(deployed.builds)
    kept = deployed.cluster.api.sanitize_for_serialization(found.items)
    with deployed.reaching(image) as reaches:
        refused = [("kubernetes.default.svc", 443), (deployed.cluster.node, 10250)]
        until(lambda: reaches(f"registry.{deployed.namespace}.svc", 5000))
        assert [reaches(*each) for each in refused] == [False, False]
        try:
            for policy in kept:
                api.delete_namespaced_network_policy(policy["metadata"]["name"], deployed.builds)
            until(lambda: all(reaches(*each) for each in refused))
        finally:
            for policy in kept:
                del policy["metadata"]["resourceVersion"]
                api.create_namespaced_network_policy(deployed.builds, policy)
        until(lambda: not any(reaches(*each) for each in refused))


def test_only_the_builds_namespace_reaches_the_mirror_and_others_do_without_its_policies(deployed: Stack) -> None:
    image = deployed.deployment.outputs()["images"]["two"]
    services: Any = deployed.core.list_namespaced_service(deployed.namespace)
    address = next((each.spec.cluster_ip for each in services.items if each.metadata.name == "mirror"), None)
    if address is None:
        pytest.skip("this cluster's stack has no mirror")
    api = client.NetworkingV1Api(deployed.cluster.api)
    with deployed.reaching(image) as reaches:
        until(lambda: reaches(address, 5000))
        ingress: Any = api.read_namespaced_network_policy("mirror", deployed.namespace)
        kept = deployed.cluster.api.sanitize_for_serialization(ingress.spec.ingress)
        path = {"op": "replace", "path": "/spec/ingress", "value": []}
        api.patch_namespaced_network_policy("mirror", deployed.namespace, [path])
        try:
            until(lambda: not reaches(address, 5000))
        finally:
            api.patch_namespaced_network_policy("mirror", deployed.namespace, [{**path, "value": kept}])
        until(lambda: reaches(address, 5000))


def test_a_rotated_password_lets_the_old_one_in_no_more_and_leaves_images_and_the_pull_account(deployed: Stack) -> None:
    before = deployed.digest("two", "latest")
    jobs = {name: job.metadata.uid for name, job in deployed.jobs().items()}
    pulling = deployed.core.read_namespaced_secret("registry-pull", deployed.builds)
    deployed.deployment.secret("registryPassword", "another-horse-battery")
    try:
        deployed.deployment.up()
        assert deployed.ask("/v2/_catalog").status_code == 401
        assert deployed.ask("/v2/_catalog", password="another-horse-battery").status_code == 200
        assert deployed.core.read_namespaced_secret("registry-pull", deployed.builds).data == pulling.data
    finally:
        deployed.deployment.secret("registryPassword", PASSWORD)
        deployed.deployment.up()
    assert deployed.digest("two", "latest") == before
    assert {name: job.metadata.uid for name, job in deployed.jobs().items()} == jobs


def is_new(stack: Stack, old: str) -> bool:
    try:
        pod = stack.core.read_namespaced_pod("registry-server-0", stack.namespace)
    except client.ApiException:
        return False
    ready = [condition.status for condition in pod.status.conditions or () if condition.type == "Ready"]
    return bool(pod.metadata.uid != old and ready == ["True"])


def inside(stack: Stack, script: str) -> str:
    """Run a script in the registry's container; give what it printed."""
    return stack.execute("registry-server-0", stack.namespace, script, container="registry")


def collect_now(stack: Stack) -> str:
    """Do what the schedule does; give the uid of the pod that it deletes."""
    inside(stack, "rm -f /var/lib/registry/.collected")  # else a restart a minute ago counts as the collection
    batch = client.BatchV1Api(stack.cluster.api)
    schedule: Any = batch.read_namespaced_cron_job("restarter", stack.namespace)
    old: str = stack.core.read_namespaced_pod("registry-server-0", stack.namespace).metadata.uid
    now: Any = {"metadata": {"generateName": "now-"}, "spec": schedule.spec.job_template.spec}
    batch.create_namespaced_job(stack.namespace, now)
    return old


def test_the_schedule_collects_what_was_deleted_and_nothing_else(deployed: Stack) -> None:
    def used() -> int:
        """The KiB of layers that the registry holds."""
        return int(inside(deployed, "du -sk /var/lib/registry/docker/registry/v2/blobs | cut -f1"))

    image, kept = deployed.digest("one", "latest"), deployed.digest("two", "latest")
    before = used()
    assert deployed.ask(f"/v2/one/manifests/{image}", "DELETE").status_code == 202
    old = collect_now(deployed)
    until(lambda: is_new(deployed, old))
    assert before - used() > 250
    assert deployed.digest("two", "latest") == kept
    assert deployed.run(deployed.deployment.outputs()["images"]["two"]) == "two\nSucceeded"


@pytest.fixture(scope="module")
def keeping(deployed: Stack) -> Stack:
    """Give the stack with a registry that removes old tags. What comes after these tests destroys it."""
    keep = {"keep": {"lastTags": 1, "days": 1}, "garbageCollection": {"deleteUntagged": True}}
    # The image of the first one was deleted by the test before.
    deployed.configure({**ONE, "trigger": "again"}, TWO, kubernetes=NOWHERE, registry=keep)
    deployed.deployment.up()
    return deployed


KIND = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def test_old_tags_go_and_what_is_used_an_indexs_images_and_what_is_pushed_meanwhile_stay(keeping: Stack) -> None:
    def push(repository: str, reference: str, content: bytes, kind: str) -> str | None:
        url = f"http://{keeping.cluster.node}:{keeping.node_port}/v2/{repository}/manifests/{reference}"
        try:
            answer = requests.put(url, content, auth=("ci", PASSWORD), headers={"Content-Type": kind}, timeout=10)
        except requests.RequestException:
            return None
        return str(answer.headers["Docker-Content-Digest"]) if answer.status_code == 201 else None

    def images(repository: str) -> Iterator[bytes]:
        content = keeping.ask(f"/v2/{repository}/manifests/latest", accept=KIND).content
        # A space more makes it another image, with the same configuration.
        return (content + b" " * count for count in itertools.count(1))

    ones, twos = images("one"), images("two")
    runs, moved = (push("two", tag, next(twos), KIND) for tag in ("runs", "moved"))
    push("two", "moved", next(twos), KIND)
    gone = push("one", "gone", next(ones), KIND)
    links = "/var/lib/registry/docker/registry/v2/repositories/*/_manifests/tags/*/current/link"
    inside(keeping, f"touch -d '2020-01-01 00:00' {links}")
    untagged = next(ones)
    child = push("one", f"sha256:{hashlib.sha256(untagged).hexdigest()}", untagged, KIND)
    part = {"mediaType": KIND, "digest": child, "size": len(untagged), "platform": {"os": "a", "architecture": "b"}}
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [part]}).encode()
    assert push("one", "index", index, INDEX)
    local, outputs = f"localhost:{keeping.node_port}/two", keeping.deployment.outputs()
    with keeping.shell(f"{local}@{runs}"), keeping.shell(f"{local}@{moved}"), ThreadPoolExecutor() as pool:
        old = collect_now(keeping)
        done = pool.submit(until, lambda: is_new(keeping, old))
        rounds = itertools.takewhile(lambda _: not wait([done], 0.2).done, itertools.count())
        tags = [f"meanwhile-{each}" for each in rounds if push("one", f"meanwhile-{each}", next(ones), KIND)]
        done.result()
    said = keeping.core.read_namespaced_pod_log("registry-server-0", keeping.namespace, container="collect")
    assert "removes one:gone, pushed" in said
    assert keeping.digest("one", str(gone)) is None
    assert len(tags) > 3
    assert all(keeping.digest("one", str(stays)) for stays in (child, *tags))
    assert all(keeping.digest("two", str(stays)) for stays in ("runs", runs, moved))
    assert keeping.ask("/v2/one/manifests/index", accept=INDEX).status_code == 200
    for name, image in outputs["images"].items():
        assert keeping.digest(name, "latest") == image.partition("@")[2]
    assert keeping.run(outputs["images"]["two"]) == "two\nSucceeded"
    assert set(keeping.deployment.up()) == {"same"}


def test_what_asks_which_images_are_in_use_may_list_pods_and_no_other_config_maps(keeping: Stack) -> None:
    with keeping.account("restarter") as stolen:
        core = client.CoreV1Api(stolen)
        assert core.list_pod_for_all_namespaces(limit=1).items
        assert core.list_config_map_for_all_namespaces(field_selector="metadata.name=ci-images").items
        for forbidden in (
            core.list_config_map_for_all_namespaces,
            core.list_secret_for_all_namespaces,
            lambda: core.patch_namespaced_config_map("ci-images", keeping.namespace, {}, dry_run="All"),
            lambda: core.delete_namespaced_pod("registry-server-0", keeping.builds, dry_run="All"),
        ):
            with pytest.raises(client.ApiException, match="Forbidden"):
                forbidden()


def test_a_destroyed_stack_leaves_its_images_and_the_next_one_has_them(deployed: Stack) -> None:
    image = deployed.digest("two", "latest")
    deployed.deployment.destroy()
    kept = deployed.core.list_namespaced_persistent_volume_claim(deployed.namespace).items
    assert "registry" in {claim.metadata.name for claim in kept}
    assert not deployed.core.list_namespaced_secret(deployed.namespace).items
    deployed.configure(ONE)
    deployed.deployment.up()
    assert deployed.digest("two", "latest") == image
