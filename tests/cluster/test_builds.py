"""Builds on a real cluster: each context, once and only once, with its digest; and what a failure leaves."""

import re
from random import Random
from typing import Any

import pytest
from kubernetes import client

from tests.support.cluster import PASSWORD, Stack, inline, names, until

FROM = "FROM alpine:latest\n"
HELLO = {"name": "hello", "context": {"directory": "examples/hello"}, "destinations": ["hello:1"]}
LAYERS = {"name": "layers", "context": inline(f'{FROM}RUN echo made > /made\nCMD ["cat", "/made"]\n')}
ROOM = {"requests": {"storage": "10Mi"}}
BROKEN = {"name": "broken", "context": inline(f"{FROM}RUN echo the reason is here && exit 3\n")}


def changed(build: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {**build, **keys}


@pytest.fixture(scope="module")
def deployed(stack: Stack) -> Stack:
    """Give the stack with two builds done."""
    stack.configure(HELLO, LAYERS)
    stack.deployment.up()
    return stack


def test_the_output_images_names_what_the_registry_holds_under_the_tag(deployed: Stack) -> None:
    images = deployed.deployment.outputs()["images"]
    assert images["hello"] == f"localhost:{deployed.node_port}/hello@{deployed.digest('hello', '1')}"
    assert images["layers"] == f"localhost:{deployed.node_port}/layers@{deployed.digest('layers', 'latest')}"
    assert re.fullmatch(r"localhost:\d+/hello@sha256:[0-9a-f]{64}", images["hello"])


def test_a_node_pulls_what_was_built_and_it_runs(deployed: Stack) -> None:
    image = deployed.deployment.outputs()["images"]["hello"]
    assert deployed.run(image) == "This is a simple file.\nSucceeded"


def test_a_second_update_changes_nothing(deployed: Stack) -> None:
    jobs = {name: job.metadata.uid for name, job in deployed.jobs().items()}
    changes = deployed.deployment.up()
    assert set(changes) == {"same"}
    assert {name: job.metadata.uid for name, job in deployed.jobs().items()} == jobs


def test_an_edited_file_builds_that_image_again_and_no_other(deployed: Stack) -> None:
    layers, image = deployed.job("layers").metadata.uid, deployed.deployment.outputs()["images"]["layers"]
    file = deployed.deployment.root / "examples/hello/a.txt"
    text = file.read_text()
    file.write_text("edited\n")
    try:
        deployed.deployment.up()
        assert deployed.job("layers").metadata.uid == layers
        images = deployed.deployment.outputs()["images"]
        assert images["layers"] == image
        assert deployed.run(images["hello"]) == "edited\nSucceeded"
        assert set(deployed.deployment.up()) == {"same"}
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
    assert job.spec.suspend is True
    assert not job.status.active
    assert not job.status.succeeded
    assert deployed.deployment.outputs()["images"]["layers"] == image
    assert set(deployed.deployment.up()) == {"same"}


def test_a_step_that_did_not_change_comes_from_the_cache(deployed: Stack) -> None:
    deployed.configure(HELLO, changed(LAYERS, trigger="once more"))
    deployed.deployment.up()
    log = deployed.log(deployed.job("layers").metadata.name)
    assert "Using caching version of cmd: RUN echo made > /made" in log
    deployed.configure(HELLO, LAYERS)
    deployed.deployment.up()


def test_a_failed_build_says_why_keeps_the_others_and_alone_is_run_again(deployed: Stack) -> None:
    hello = deployed.job("hello").metadata.uid
    deployed.configure(HELLO, LAYERS, BROKEN)
    said = deployed.deployment.pulumi("up", "--yes", "--skip-preview", status=None)
    assert "the build broken failed: kaniko ended with 3" in said
    assert "the reason is here" in said
    failed = deployed.job("broken").metadata.uid
    assert deployed.job("hello").metadata.uid == hello

    deployed.deployment.pulumi("up", "--yes", "--skip-preview", status=None)
    again = deployed.job("broken").metadata.uid
    assert again != failed
    assert deployed.job("hello").metadata.uid == hello

    deployed.configure(HELLO, LAYERS, changed(BROKEN, context=inline(f"{FROM}RUN true\n")))
    deployed.deployment.up()
    assert deployed.job("hello").metadata.uid == hello
    assert "broken" in deployed.deployment.outputs()["images"]
    deployed.configure(HELLO, LAYERS)
    deployed.deployment.up()


def test_going_back_after_a_failed_update_gives_the_tags_back_too(deployed: Stack) -> None:
    slow = changed(BROKEN, context=inline(f"{FROM}RUN sleep 5 && exit 3\n"))
    other = changed(LAYERS, context=inline(f"{FROM}RUN echo other > /made\n"))
    deployed.configure(HELLO, other, slow)
    deployed.deployment.pulumi("up", "--yes", "--skip-preview", status=None)
    assert deployed.deployment.outputs()["images"]["layers"].rpartition("@")[2] != deployed.digest("layers", "latest")

    deployed.configure(HELLO, LAYERS)
    deployed.deployment.up()
    image = deployed.deployment.outputs()["images"]["layers"]
    assert image.rpartition("@")[2] == deployed.digest("layers", "latest")
    assert deployed.run(image) == "made\nSucceeded"
    assert set(deployed.deployment.up()) == {"same"}


def test_a_build_that_wants_more_memory_than_it_has_is_told_to_raise_it(deployed: Stack) -> None:
    hungry = {
        "name": "hungry",
        "context": inline(f"{FROM}RUN head -c 300000000 /dev/zero | tail\n"),
        "resources": {"memoryMib": 100},
    }
    deployed.configure(HELLO, LAYERS, hungry)
    said = deployed.deployment.pulumi("up", "--yes", "--skip-preview", status=None)
    assert "raise ci:builds[2].resources.memoryMib, for example to 200" in said
    deployed.configure(HELLO, LAYERS)
    deployed.deployment.up()


def test_a_build_that_takes_too_long_ends_at_its_deadline(deployed: Stack) -> None:
    slow = {"name": "slow", "context": inline(f"{FROM}RUN sleep 600\n"), "deadlineSeconds": 30}
    deployed.configure(HELLO, LAYERS, slow)
    said = deployed.deployment.pulumi("up", "--yes", "--skip-preview", status=None)
    assert "DeadlineExceeded" in said
    assert "raise ci:builds[2].deadlineSeconds" in said
    deployed.configure(HELLO, LAYERS)
    deployed.deployment.up()


def test_a_quota_that_the_builds_do_not_fit_in_is_refused_at_preview(deployed: Stack) -> None:
    deployed.configure(HELLO, LAYERS, kubernetes={"quota": {"cpuMillicores": 1500, "memoryMib": 4096}})
    said = deployed.deployment.pulumi("preview", status=None)
    assert "ci:kubernetes.quota.cpuMillicores = 1500 is less than the 2000" in said
    deployed.configure(HELLO, LAYERS)


def test_a_folder_that_is_too_big_is_refused_and_git_is_named(deployed: Stack) -> None:
    big = deployed.deployment.root / "big"
    big.mkdir()
    (big / "Dockerfile").write_text("FROM scratch\nCOPY noise /\n")
    (big / "noise").write_bytes(Random(1).randbytes(2_000_000))
    deployed.configure(HELLO, LAYERS, {"name": "big", "context": {"directory": "big"}})
    said = deployed.deployment.pulumi("preview", status=None)
    assert "is too big for a ConfigMap" in said
    assert "use a git or volume context" in said
    deployed.configure(HELLO, LAYERS)


def test_arguments_target_labels_and_several_destinations_arrive(deployed: Stack) -> None:
    text = (
        f'{FROM}AS first\nARG WORD\nRUN echo $WORD > /word\nCMD ["cat", "/word"]\n'
        'FROM first AS second\nCMD ["echo", "wrong"]\n'
    ).replace("latest\nAS", "latest AS")
    many = {
        "name": "many",
        "context": inline(text),
        "args": {"WORD": "said it"},
        "target": "first",
        "labels": {"org.example.kind": "test"},
        "destinations": ["team/many:1", "team/many:2"],
    }
    deployed.configure(HELLO, LAYERS, many)
    deployed.deployment.up()
    image = deployed.deployment.outputs()["images"]["many"]
    assert deployed.run(image) == "said it\nSucceeded"
    assert deployed.digest("team/many", "1") == deployed.digest("team/many", "2") == image.partition("@")[2]
    deployed.configure(HELLO, LAYERS)
    deployed.deployment.up()


def test_a_context_on_a_volume_is_built(deployed: Stack) -> None:
    claim = {"metadata": {"name": "sources"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": ROOM}}
    deployed.core.create_namespaced_persistent_volume_claim(deployed.builds, claim)
    text = 'FROM alpine:latest\\nCOPY a.txt /\\nCMD ["cat", "/a.txt"]\\n'
    write = f"mkdir -p /v/app && printf '{text}' > /v/app/Dockerfile && echo from a volume > /v/app/a.txt"
    image = deployed.deployment.outputs()["images"]["hello"]
    assert deployed.run(image, "sh", "-c", write, volume="sources") == "Succeeded"
    deployed.configure(HELLO, LAYERS, {"name": "volume", "context": {"volume": {"claim": "sources", "path": "app"}}})
    deployed.deployment.up()
    assert deployed.run(deployed.deployment.outputs()["images"]["volume"]) == "from a volume\nSucceeded"
    deployed.configure(HELLO, LAYERS)
    deployed.deployment.up()


def test_images_that_were_lost_with_the_registrys_volume_are_built_again(deployed: Stack) -> None:
    before = {name: job.metadata.uid for name, job in deployed.jobs().items()}
    apps = client.AppsV1Api(deployed.cluster.api)
    apps.patch_namespaced_stateful_set_scale("registry", deployed.namespace, {"spec": {"replicas": 0}})
    until(lambda: "registry-0" not in names(deployed.core.list_namespaced_pod(deployed.namespace).items))
    claims = deployed.core.list_namespaced_persistent_volume_claim
    deployed.core.delete_namespaced_persistent_volume_claim("registry", deployed.namespace)
    until(lambda: "registry" not in names(claims(deployed.namespace).items))

    deployed.deployment.up()
    after = {name: job.metadata.uid for name, job in deployed.jobs().items()}
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())
    images = deployed.deployment.outputs()["images"]
    assert images["hello"].rpartition("@")[2] == deployed.digest("hello", "1")
    assert deployed.run(images["layers"]) == "made\nSucceeded"
    assert set(deployed.deployment.up()) == {"same"}


def test_nothing_secret_is_said_or_stands_in_the_state_the_pods_or_their_environment(deployed: Stack) -> None:
    assert PASSWORD not in "".join(deployed.deployment.said)
    assert PASSWORD not in deployed.deployment.state()
    for namespace in (deployed.namespace, deployed.builds):
        pods = deployed.core.list_namespaced_pod(namespace)
        assert PASSWORD not in str(pods)
        for pod in pods.items:
            for container in pod.spec.containers:
                assert not [entry for entry in container.env or () if entry.value_from]
    assert not [
        path for path in deployed.deployment.root.rglob("*.yaml") if PASSWORD in path.read_text(errors="ignore")
    ]
