"""Builds on a real cluster: each context, once and only once, with its digest; and what a failure leaves."""

import contextlib
import functools
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from kubernetes import client

from components import labels
from components.kubernetes.builders.kaniko import HOME
from components.kubernetes.builders.pod import LOGINS
from tests.support.cluster import PASSWORD, Stack, inline, names, until

FROM = "FROM alpine:latest\n"
HELLO = {"name": "hello", "context": {"directory": "examples/hello"}, "destinations": ["hello:1"]}
LAYERS = {"name": "layers", "context": inline(f'{FROM}RUN echo made > /made\nCMD ["cat", "/made"]\n')}
ROOM = {"requests": {"storage": "10Mi"}}


@pytest.fixture(scope="module")
def deployed(stack: Stack) -> Stack:
    """Give the stack with two builds done."""
    stack.configure(HELLO, LAYERS)
    stack.deployment.up()
    return stack


@contextlib.contextmanager
def restored(stack: Stack) -> Iterator[None]:
    """Give the stack its two builds back in the end."""
    try:
        yield
    finally:
        stack.configure(HELLO, LAYERS)
        stack.deployment.up()


def uids(stack: Stack) -> dict[str, str]:
    return {name: job.metadata.uid for name, job in stack.jobs().items()}


def test_the_output_names_what_the_registry_holds_a_node_runs_it_and_a_second_update_changes_nothing(
    deployed: Stack,
) -> None:
    images, jobs = deployed.deployment.outputs()["images"], uids(deployed)
    assert images["hello"] == f"localhost:{deployed.node_port}/hello@{deployed.digest('hello', '1')}"
    assert images["layers"] == f"localhost:{deployed.node_port}/layers@{deployed.digest('layers', 'latest')}"
    assert re.fullmatch(r"localhost:\d+/hello@sha256:[0-9a-f]{64}", images["hello"])
    assert deployed.run(images["hello"]) == "This is a simple file.\nSucceeded"
    assert set(deployed.deployment.up()) == {"same"}
    assert uids(deployed) == jobs


def test_an_edited_file_builds_that_image_again_and_no_other(deployed: Stack) -> None:
    layers, image = deployed.job("layers").metadata.uid, deployed.deployment.outputs()["images"]["layers"]
    file = deployed.deployment.root / "examples/hello/a.txt"
    text = file.read_text()
    file.write_text("edited\n")
    try:
        deployed.deployment.up()
        images = deployed.deployment.outputs()["images"]
        assert (deployed.job("layers").metadata.uid, images["layers"]) == (layers, image)
        assert deployed.run(images["hello"]) == "edited\nSucceeded"
    finally:
        file.write_text(text)
        deployed.deployment.up()


def test_a_build_that_is_done_is_not_run_again_when_its_job_is_gone(deployed: Stack) -> None:
    image = deployed.deployment.outputs()["images"]["layers"]
    name = deployed.job("layers").metadata.name
    deployed.core.delete_collection_namespaced_pod(
        deployed.builds, label_selector=f"batch.kubernetes.io/job-name={name}"
    )
    client.BatchV1Api(deployed.cluster.api).delete_namespaced_job(name, deployed.builds)
    deployed.deployment.up()
    job = deployed.job("layers")
    assert (job.spec.suspend, job.status.active, job.status.succeeded) == (True, None, None)
    assert deployed.deployment.outputs()["images"]["layers"] == image
    assert set(deployed.deployment.up()) == {"same"}


def test_a_failed_build_is_run_again_alone_and_going_back_gives_the_tags_back(deployed: Stack) -> None:
    hello = deployed.job("hello").metadata.uid
    other = {**LAYERS, "context": inline(f"{FROM}RUN echo other > /made\n")}
    broken = {"name": "broken", "context": inline(f"{FROM}RUN sleep 5 && echo the reason is here && exit 3\n")}
    with restored(deployed):
        deployed.configure(HELLO, other, broken)
        said = deployed.deployment.pulumi("up", "--yes", "--skip-preview", status=None)
        assert "build broken failed: kaniko ended with exit code 3" in said
        assert "the reason is here" in said
        failed = deployed.job("broken").metadata.uid
        tag = deployed.digest("layers", "latest")
        assert deployed.deployment.outputs()["images"]["layers"].rpartition("@")[2] != tag
        deployed.deployment.pulumi("up", "--yes", "--skip-preview", status=None)
        assert deployed.job("broken").metadata.uid != failed
        assert deployed.job("hello").metadata.uid == hello
    image = deployed.deployment.outputs()["images"]["layers"]
    assert image.rpartition("@")[2] == deployed.digest("layers", "latest") != tag
    assert deployed.run(image) == "made\nSucceeded"
    assert set(deployed.deployment.up()) == {"same"}


def test_a_build_whose_pod_is_evicted_starts_again_without_a_retry(deployed: Stack) -> None:
    slow = {"name": "slow", "context": inline(f"{FROM}RUN sleep 5\n")}
    with restored(deployed), ThreadPoolExecutor() as pool:
        deployed.configure(HELLO, LAYERS, slow)
        update = pool.submit(deployed.deployment.up)
        ours = f"{labels.BUILD}=slow"
        pods = functools.partial(deployed.core.list_namespaced_pod, deployed.builds, label_selector=ours)
        [pod] = until(lambda: [each.metadata.name for each in pods().items if each.status.phase == "Running"])
        # As `kubectl drain` does.
        deployed.core.create_namespaced_pod_eviction(pod, deployed.builds, {"metadata": {"name": pod}})
        update.result()
        assert pod not in names(pods().items)
        assert deployed.job("slow").status.succeeded == 1


def test_a_context_on_a_volume_is_built_and_a_dockerfile_that_leads_out_of_it_ends_the_build(deployed: Stack) -> None:
    claim = {"metadata": {"name": "sources"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": ROOM}}
    deployed.core.create_namespaced_persistent_volume_claim(deployed.builds, claim)
    text = 'FROM alpine:latest\\nCOPY a.txt /\\nCMD ["cat", "/a.txt"]\\n'
    write = f"cd /v/app && printf '{text}' > real && echo from a volume > a.txt"
    # A link that stays inside is followed. The folder is another user's: root needs a capability to enter it.
    links = f"ln -s real Dockerfile && ln -s {HOME}/.docker/config.json kaniko && ln -s {LOGINS}/config.json buildah"
    image, volume = deployed.deployment.outputs()["images"]["hello"], {"volume": {"claim": "sources", "path": "app"}}
    script = f"mkdir /v/app && {write} && {links} && chmod 700 . && chown 4242 ."
    said = deployed.run(image, "sh", "-c", script, volume="sources")
    assert said == "Succeeded"
    with restored(deployed):
        inside = [HELLO, LAYERS, {"name": "volume", "context": volume}]
        deployed.configure(*inside)
        deployed.deployment.up()
        assert deployed.run(deployed.deployment.outputs()["images"]["volume"]) == "from a volume\nSucceeded"
        out = [{"name": each, "builder": each, "dockerfile": each, "context": volume} for each in ("kaniko", "buildah")]
        deployed.configure(*inside, *out)
        said = deployed.deployment.pulumi("up", "--yes", "--skip-preview", status=None)
    for builder in ("kaniko", "buildah"):
        assert f"build {builder} failed" in said
        assert f"/context/app/{builder} leads out of /context" in said
    assert '"auths"' not in said


def test_images_that_were_lost_with_the_registrys_volume_are_built_again(deployed: Stack) -> None:
    before = uids(deployed)
    apps = client.AppsV1Api(deployed.cluster.api)
    apps.patch_namespaced_stateful_set_scale("registry-server", deployed.namespace, {"spec": {"replicas": 0}})
    until(lambda: "registry-server-0" not in names(deployed.core.list_namespaced_pod(deployed.namespace).items))
    claims = deployed.core.list_namespaced_persistent_volume_claim
    deployed.core.delete_namespaced_persistent_volume_claim("registry", deployed.namespace)
    until(lambda: "registry" not in names(claims(deployed.namespace).items))

    deployed.deployment.up()
    after = uids(deployed)
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())
    images = deployed.deployment.outputs()["images"]
    assert images["hello"].rpartition("@")[2] == deployed.digest("hello", "1")
    assert deployed.run(images["layers"]) == "made\nSucceeded"
    assert set(deployed.deployment.up()) == {"same"}


def test_the_password_is_not_in_what_is_printed_the_state_the_pods_or_their_environment(deployed: Stack) -> None:
    assert PASSWORD not in "".join(deployed.deployment.said)
    assert PASSWORD not in deployed.deployment.state()
    for namespace in (deployed.namespace, deployed.builds):
        pods = deployed.core.list_namespaced_pod(namespace)
        assert PASSWORD not in str(pods)
        for pod in pods.items:
            for container in pod.spec.containers:
                assert not [entry for entry in container.env or () if entry.value_from]
    for path in deployed.deployment.root.rglob("*.yaml"):
        assert PASSWORD not in path.read_text(errors="ignore")
