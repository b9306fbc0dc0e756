"""Engines on TCP, really: the jobs' (`access: tcp`), and the one that Jenkins itself runs on (`host: tcp://...`)."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from components.docker import dind
from lab.pki import Authority, Pair
from offline import images
from tests.support import containers
from tests.support.containers import inside
from tests.support.names import PREFIX
from tests.support.verbs import Verbs, clone
from tests.support.waiting import eventually

HOST = "unix:///var/run/docker.sock"
NAME = f"{PREFIX}-tcp"
IMAGE = "simple-jenkins-image"


@dataclass
class Builder:
    """An engine of its own in a container: to Jenkins and to us it is another machine's."""

    container: Container
    address: str
    ca: str
    ca_key: str

    @property
    def host(self) -> str:
        """Where it listens."""
        return f"tcp://{self.address}:2376"

    @property
    def authority(self) -> Authority:
        """Whom it believes."""
        return Authority.of(self.ca, self.ca_key)

    def run(self, *command: str) -> str:
        """Run a command beside it, with its own docker client over its own socket."""
        return inside(str(self.container.name), *command)


@pytest.fixture(scope="module")
def builder(engine: docker.DockerClient) -> Iterator[Builder]:
    """Start the engine that stands for a builder elsewhere; its certificate is for its address."""
    images.ensure(HOST, [images.DIND])
    name = f"{PREFIX}-builder"
    container = engine.containers.run(
        images.DIND,
        name=name,
        detach=True,
        cap_add=["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"],
        security_opt=["seccomp=unconfined"],
        entrypoint=["sh", "-ec", dind.WRITABLE_GROUPS, "sh"],
        volumes=[f"{name}:/var/lib/docker"],
        mem_limit="4g",
        memswap_limit="4g",
    )
    try:
        eventually(lambda: container.exec_run(["docker", "image", "inspect", images.BASE]).exit_code == 0, seconds=60)
        container.reload()
        made = Builder(container, container.attrs["NetworkSettings"]["IPAddress"], "", "")
        made.ca, made.ca_key = (containers.read(container, f"/certs/ca/{file}.pem") for file in ("cert", "key"))
        yield made
    finally:
        container.remove(force=True, v=True)
        engine.volumes.get(name).remove()


def write(folder: Path, ca: str, pair: Pair) -> dict[str, str]:
    """Write an authority and a client's certificate into a clone; give the settings that name them."""
    (folder / "docker").mkdir(exist_ok=True)
    (folder / "docker" / "ca.pem").write_text(ca)
    pair.write(folder / "docker", "cert")
    return {"caFile": "docker/ca.pem", "certificateFile": "docker/cert.crt"}


@pytest.fixture(scope="module")
def client(builder: Builder) -> Pair:
    """Give the certificate that Jenkins is known by."""
    return builder.authority.client()


@pytest.fixture(scope="module")
def verbs(
    engine: docker.DockerClient,
    builder: Builder,
    client: Pair,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Verbs]:
    """Bring the stack tcp up once, with the builder's address."""
    made = clone(tmp_path_factory.mktemp("tcp"), "tcp")
    made.edit(docker={"tcp": {"host": builder.host, **write(made.root, builder.ca, client)}})
    made.run("set", "ci:tcpTlsKey", stdin=client.key)
    with made.deployed(NAME):
        yield made


def test_the_sample_is_green_and_its_image_is_on_the_other_engine_alone(
    verbs: Verbs, engine: docker.DockerClient, builder: Builder
) -> None:
    assert builder.host in verbs.first
    text = verbs.run("sample")
    assert "+ docker run --rm simple-jenkins-image" in text
    assert "This is a simple file." in text
    id_ = builder.run("docker", "image", "inspect", "-f", "{{.Id}}", IMAGE).strip()
    assert id_.removeprefix("sha256:")[:12] in text
    assert id_ not in {image.id for image in engine.images.list()}


def test_a_second_update_changes_nothing(verbs: Verbs) -> None:
    assert "Nothing changed" in verbs.run("up")
    assert "as user 1000" in verbs.run("status")


def test_jenkins_holds_no_socket_and_the_key_is_nowhere_but_in_its_file(
    verbs: Verbs, engine: docker.DockerClient, client: Pair
) -> None:
    container = engine.containers.get(NAME)
    assert [mount["Destination"] for mount in container.attrs["Mounts"]] == ["/var/jenkins_home"]
    line = client.key.splitlines()[1]
    assert line in containers.read(container, "/certs/client/key.pem")
    inside(NAME, "test", "-r", "/certs/client/key.pem", user="1000")
    shown = {
        "inspect": json.dumps(container.attrs),
        "log": container.logs().decode(),
        "environment": inside(NAME, "env"),
        "what up printed": verbs.first,
    }
    for folder in (".local", "stacks"):
        for path in (verbs.root / folder).rglob("*"):
            if path.is_file():
                shown[str(path)] = path.read_text(errors="replace")
    assert not [place for place, text in shown.items() if line in text]


def test_a_wrong_certificate_is_refused_at_preview_and_jenkins_goes_on(
    verbs: Verbs, engine: docker.DockerClient, builder: Builder, client: Pair
) -> None:
    before = engine.containers.get(NAME).id
    write(verbs.root, Authority.new().pem, client)
    try:
        text = verbs.run("preview", status=None)
    finally:
        write(verbs.root, builder.ca, client)
    assert "ci:docker.tcp.caFile" in text
    assert f"has not signed the certificate of {builder.host}" in text
    assert engine.containers.get(NAME).id == before


def test_inside_does_not_work_there_as_the_documentation_says(verbs: Verbs) -> None:
    folder = "/var/jenkins_home/workspace/x"
    inside(NAME, "sh", "-c", f"mkdir -p {folder} && echo here > {folder}/a", user="1000")
    assert inside(NAME, "docker", "run", "--rm", "-v", f"{folder}:/w", images.BASE, "ls", "/w", user="1000") == ""


def test_jenkins_itself_runs_on_an_engine_on_tcp(
    builder: Builder, client: Pair, controller: str, engine: docker.DockerClient, tmp_path: Path
) -> None:
    carry = f"docker save {controller} | docker exec -i {builder.container.name} docker load"
    subprocess.run(["sh", "-c", carry], check=True)
    made = clone(tmp_path, "offline")
    made.edit(
        docker={"host": builder.host, "tls": write(made.root, builder.ca, client), "socketGroup": 0},
    )
    made.run("set", "ci:dockerTlsKey", stdin=client.key)
    try:
        first = made.run("up")
        assert f"ssh -L 8080:127.0.0.1:8080 {builder.address}" in first
        assert builder.run("docker", "ps", "--format", "{{.Names}}").split() == ["jenkins-server"]
        assert "as user 1000" in made.run("status")
        line = client.key.splitlines()[1]
        state = [path for path in (made.root / ".local").rglob("*") if path.is_file()]
        assert not [path for path in state if line in path.read_text(errors="replace")]
    finally:
        made.run("down")
