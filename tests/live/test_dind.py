"""`access: dind` on a real engine: deployed by the operator's verbs, used, refused, restarted, removed."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest
from docker.models.containers import Container

from components import labels
from lab.pki import Authority, Pair
from ops import engine as stack_engine
from ops import recover
from tests.support import containers, made_stack
from tests.support.containers import inside
from tests.support.names import PREFIX
from tests.support.tls import refused
from tests.support.verbs import Verbs, clone
from tests.support.waiting import eventually

NAME = f"{PREFIX}-dind"
ENGINE = f"{NAME}-engine"
PRUNER = f"{NAME}-prune"
VOLUMES = (f"{NAME}-home", f"{ENGINE}-images")
IMAGE = "simple-jenkins-image"


@pytest.fixture(scope="module")
def verbs(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verbs]:
    """Bring the stack dind up once."""
    made = clone(tmp_path_factory.mktemp("dind"), "dind")
    prune = {"untilHours": 1, "image": "ci-offline-controller:1", "containerName": PRUNER}
    dind = {"containerName": ENGINE, "memoryMib": 1024}
    with made.deployed(NAME, *VOLUMES, docker={"dind": dind, "prune": prune}):
        yield made


@pytest.fixture
def jenkins(engine: docker.DockerClient, verbs: Verbs) -> Container:
    """Give the controller as it is now."""
    return engine.containers.get(NAME)


@pytest.fixture
def inner(engine: docker.DockerClient, verbs: Verbs) -> Container:
    """Give the engine beside it as it is now."""
    return engine.containers.get(ENGINE)


def test_the_first_update_says_what_its_engine_is_and_may_do(verbs: Verbs) -> None:
    assert "Anyone who can run a job here can get root on the Docker host" in verbs.first
    assert f"{ENGINE} is not privileged, but has SYS_ADMIN, NET_ADMIN, SYS_PTRACE" in verbs.first
    assert f"docker exec {ENGINE} docker image ls" in verbs.first


def test_the_sample_is_green_and_its_image_is_in_that_engine_alone(
    verbs: Verbs, engine: docker.DockerClient, inner: Container
) -> None:
    text = verbs.run("sample")
    assert "This is a simple file." in text
    id_ = inside(ENGINE, "docker", "image", "inspect", "-f", "{{.Id}}", IMAGE).strip()
    assert id_.removeprefix("sha256:")[:12] in text
    assert id_ not in {image.id for image in engine.images.list()}


def test_a_second_update_changes_nothing(verbs: Verbs) -> None:
    assert "Nothing changed" in verbs.run("up")


def test_status_tells_of_each_container(verbs: Verbs) -> None:
    text = verbs.run("status")
    assert re.search(rf"pruner +{PRUNER}: running, healthy", text)
    assert re.search(rf"engine +{ENGINE}: running, healthy", text)
    assert re.search(rf"container +{NAME}: running, healthy", text)
    assert "as user 1000" in text


def test_jenkins_has_the_clients_key_to_read_and_neither_a_socket_nor_the_authoritys_key(jenkins: Container) -> None:
    assert "PRIVATE KEY" in inside(NAME, "cat", "/certs/client/key.pem", user="1000")
    listed = inside(
        NAME, "sh", "-c", "ls -d /run/docker.sock /var/run/docker.sock /certs/ca /certs/server 2> /dev/null || :"
    )
    assert listed == ""
    done: Any = jenkins.exec_run(["sh", "-c", "echo x > /certs/client/ca.pem"], user="root")
    assert done.exit_code != 0
    assert b"Read-only file system" in done.output


def test_the_engine_is_published_nowhere_and_speaks_to_nobody_in_clear(inner: Container) -> None:
    assert not any(inner.attrs["NetworkSettings"]["Ports"].values())
    assert inside(ENGINE, "sh", "-c", "netstat -ltn | grep -c ':2375 ' || true").strip() == "0"


def test_the_engine_has_neither_privileges_nor_devices_of_the_host(inner: Container) -> None:
    host = inner.attrs["HostConfig"]
    assert not host["Privileged"]
    assert not host["Devices"]
    assert set(host["CapAdd"]) == {"CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SYS_PTRACE"}


def test_four_other_clients_are_refused_and_jenkins_own_certificate_is_not(inner: Container, tmp_path: Path) -> None:
    address = next(iter(inner.attrs["NetworkSettings"]["Networks"].values()))["IPAddress"]
    files = {name: containers.read(inner, f"/certs/client/{name}.pem") for name in ("ca", "cert", "key")}
    own = Pair(files["cert"], files["key"])
    other = Authority.new()
    expired = Authority.of(*(containers.read(inner, f"/certs/ca/{name}.pem") for name in ("cert", "key")))

    def ask(pair: Pair | None, ca: str, name: str = "docker") -> str:
        return refused(address, 2376, ca=ca, pair=pair, name=name, folder=tmp_path)

    assert ask(own, files["ca"]) == ""
    assert ask(None, files["ca"])
    assert ask(other.client(), files["ca"])
    assert ask(expired.client(days=-1), files["ca"])
    assert "Hostname mismatch" in ask(own, files["ca"], name="builder.example.org")
    assert "certificate verify failed" in ask(own, other.pem)


def test_a_restart_keeps_the_images_and_builds_on(verbs: Verbs, engine: docker.DockerClient, inner: Container) -> None:
    before = inside(ENGINE, "docker", "image", "inspect", "-f", "{{.Id}}", IMAGE)
    inner.restart(timeout=20)
    eventually(lambda: engine.containers.get(ENGINE).attrs["State"]["Health"]["Status"] == "healthy")
    assert inside(ENGINE, "docker", "image", "inspect", "-f", "{{.Id}}", IMAGE) == before
    verbs.run("sample")


def test_a_removed_engine_comes_back_with_its_images_and_new_certificates_that_jenkins_takes(
    verbs: Verbs, engine: docker.DockerClient, inner: Container
) -> None:
    before = inside(ENGINE, "docker", "image", "ls", "-q")
    inner.remove(force=True)
    text = verbs.run("up")
    assert "1 create" in text
    assert inside(ENGINE, "docker", "image", "ls", "-q") == before
    verbs.run("sample")


def test_an_engine_whose_certificates_were_wiped_makes_new_ones_and_jobs_build_on(
    verbs: Verbs, engine: docker.DockerClient
) -> None:
    def key() -> str:
        with suppress(docker.errors.NotFound):
            return containers.read(engine.containers.get(ENGINE), "/certs/client/key.pem")
        return ""

    before = key()
    inside(ENGINE, "sh", "-c", "rm /certs/client/*")
    verbs.run("up")
    eventually(lambda: key() not in ("", before), seconds=60)
    eventually(lambda: engine.containers.get(ENGINE).health == "healthy")
    verbs.run("sample")


def test_the_pruner_removes_what_is_old_and_nothing_that_has_a_name_or_is_used(
    verbs: Verbs, engine: docker.DockerClient, inner: Container
) -> None:
    gone, used, tagged = (containers.load_old(ENGINE, *tags) for tags in ((), (), ("kept:1",)))
    images = partial(inside, ENGINE, "docker", "image", "ls", "-q", "--no-trunc")
    inside(ENGINE, "docker", "volume", "create", "kept")
    inside(ENGINE, "docker", "create", "--name", "user", used)
    for name, label in (("job", "a=b"), ("own", "pulumi-container-ci/project=keep")):
        made = inside(ENGINE, "docker", "create", "--name", name, "--label", label, "alpine:latest").strip()
        file = f"/var/lib/docker/containers/{made}/config.v2.json"
        inside(ENGINE, "sed", "-i", 's/"Created":"[^"]*"/"Created":"2020-01-01T00:00:00Z"/', file)
    inner.restart(timeout=20)  # it reads when a container was made at its start
    eventually(lambda: engine.containers.get(ENGINE).health == "healthy")
    assert gone in images()
    engine.containers.get(PRUNER).restart(timeout=5)
    eventually(lambda: gone not in images())
    eventually(lambda: engine.containers.get(PRUNER).health == "healthy")
    assert {used, tagged} <= set(images().split())
    assert {*inside(ENGINE, "docker", "ps", "-a", "--format", "{{.Names}}").split()} == {"user", "own"}
    assert inside(ENGINE, "docker", "volume", "ls", "-q").split() == ["kept"]


def test_what_jobs_start_counts_against_the_engines_own_memory(inner: Container) -> None:
    limit = inside(
        ENGINE, "docker", "run", "--rm", "alpine:latest", "sh", "-c", "cat /sys/fs/cgroup/memory/memory.stat || true"
    )
    found = re.search(r"hierarchical_memory_limit (\d+)", limit)
    if found is None:
        pytest.skip("the limit from above is told by control groups of version 1 only")
    assert int(found[1]) == 1024 * 2**20


def test_no_secret_is_in_what_docker_shows_or_in_the_state(verbs: Verbs, jenkins: Container, inner: Container) -> None:
    password = verbs.run("password").splitlines()[0]
    key = containers.read(inner, "/certs/client/key.pem").splitlines()[1]
    shown = {
        "inspect": json.dumps([jenkins.attrs, inner.attrs]),
        "logs": (jenkins.logs() + inner.logs()).decode(),
        "state": "".join(
            path.read_text(errors="replace") for path in (verbs.root / ".local/state").rglob("*") if path.is_file()
        ),
        "environment": inside(NAME, "env"),
    }
    assert not [place for place, text in shown.items() if password in text or key in text]


def test_a_half_made_network_is_removed_by_recover_if_it_is_the_stacks_own(
    engine: docker.DockerClient, tmp_path: Path
) -> None:
    name = f"{NAME}-half-made"
    stash = {"urn": "urn:Stash::owner", "type": "pulumi:index:Stash", "outputs": {"output": "a1"}}
    create = {"type": "creating", "resource": {"type": "docker:index/network:Network", "inputs": {"name": name}}}
    stack = made_stack.on_docker(tmp_path, docker={"access": "dind", "acceptRootOnHost": True})
    state = {"resources": [stash], "pending_operations": [create]}
    assert recover.remove_forgotten(stack, state) == []
    foreign = engine.networks.create(name, labels={labels.OWNER: "b2"})
    try:
        assert recover.remove_forgotten(stack, state) == []
        assert engine.networks.list(names=[name])
    finally:
        foreign.remove()
    engine.networks.create(name, labels={labels.OWNER: "a1"})
    assert f"removed the half-made network {name}" in recover.remove_forgotten(stack, state)[0]
    assert engine.networks.list(names=[name]) == []


def test_a_machine_that_keeps_capabilities_back_is_told_what_to_write(
    engine: docker.DockerClient, capfd: pytest.CaptureFixture[str]
) -> None:
    name = f"{NAME}-privileged"
    container = engine.containers.create("alpine:latest", ["true"], name=name, privileged=True)
    try:
        try:
            container.start()
        except docker.errors.APIError:
            container.reload()
            stack_engine.show_log(container)
        else:
            pytest.skip("this machine has every capability to give")
    finally:
        container.remove(force=True)
    assert "privileged: false under ci:docker.dind" in capfd.readouterr().err


def test_down_leaves_the_home_and_the_images_and_says_so(verbs: Verbs, engine: docker.DockerClient) -> None:
    text = verbs.run("down")
    assert f"docker volume rm {VOLUMES[0]} {VOLUMES[1]}" in text
    names = {volume.name for volume in engine.volumes.list()}
    assert set(VOLUMES) <= names
    assert f"{ENGINE}-certificates" not in names
    assert not engine.networks.list(names=[f"^{ENGINE}$"])
