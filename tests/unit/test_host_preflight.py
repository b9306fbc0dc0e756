"""What is found on the host before anything is made there."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from components.docker import host
from components.docker.access import host_socket
from components.docker.access.host_socket import AccessError, group_in_container
from components.settings import DockerSettings
from tests.support import fake_docker
from tests.support.fake_docker import container, volume
from tests.support.settings import settings

OURS = "ci/test"


@pytest.fixture
def port() -> int:
    """Give a port of the loopback interface that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def preflight(
    tmp_path: Path,
    *,
    port: int,
    jenkins: dict[str, Any] | None = None,
    docker: dict[str, Any] | None = None,
    **engine: Any,
) -> list[str]:
    with fake_docker.listening(tmp_path / "docker.sock", **engine) as where:
        stack = settings(
            docker={"acceptRootOnHost": True, "host": where, **(docker or {"socketGroup": 998})},
            jenkins={"httpPort": port, "agentPort": None, **(jenkins or {})},
        )
        return [str(problem) for problem in host.preflight(stack, project="ci", stack="test")]


def test_an_empty_host_has_nothing_in_the_way(tmp_path: Path, port: int) -> None:
    assert preflight(tmp_path, port=port) == []


def test_the_stacks_own_container_volume_and_port_are_not_in_the_way(tmp_path: Path, port: int) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()
        found = preflight(
            tmp_path,
            port=port,
            containers=[container("jenkins-server", owner=OURS, port=port)],
            volumes={"jenkins_home": volume("jenkins_home", owner=OURS)},
        )
    assert found == []


def test_a_container_of_the_same_name_is_refused_with_its_owner(tmp_path: Path, port: int) -> None:
    [text] = preflight(tmp_path, port=port, containers=[container("jenkins-server", owner="ci/offline")])
    assert (
        'ci:jenkins.containerName = "jenkins-server" is a container already, which belongs to the stack ci/offline'
        in text
    )
    [text] = preflight(tmp_path, port=port, containers=[container("jenkins-server")])
    assert "which no stack of this project made" in text
    assert "docker rm -f jenkins-server" in text


def test_a_home_that_the_stack_did_not_make_is_refused_unless_it_is_adopted(tmp_path: Path, port: int) -> None:
    foreign = {"jenkins_home": volume("jenkins_home")}
    [text] = preflight(tmp_path, port=port, volumes=foreign)
    assert 'ci:jenkins.homeVolume = "jenkins_home" is a volume already' in text
    assert "adoptHome: true" in text
    assert preflight(tmp_path, port=port, volumes=foreign, jenkins={"adoptHome": True}) == []


DIND = {"access": "dind", "dind": {"containerName": "engine"}}


@pytest.mark.parametrize(
    ("there", "name"),
    [
        ({"containers": [container("engine")]}, "engine"),
        ({"networks": {"engine": volume("engine")}}, "engine"),
        ({"volumes": {"engine-images": volume("engine-images", owner="ci/other")}}, "engine-images"),
        ({"volumes": {"engine-certificates": volume("engine-certificates")}}, "engine-certificates"),
    ],
    ids=["container", "network", "images", "certificates"],
)
def test_what_an_engine_of_the_stacks_own_is_called_must_be_nobody_elses(
    tmp_path: Path, port: int, there: dict[str, Any], name: str
) -> None:
    [text] = preflight(tmp_path, port=port, docker=DIND, **there)
    assert f'ci:docker.dind.containerName = "{name}" is a ' in text
    assert "give another name, or remove it first (`docker " in text


def test_an_engine_of_the_stacks_own_is_not_in_its_own_way(tmp_path: Path, port: int) -> None:
    found = preflight(
        tmp_path,
        port=port,
        docker=DIND,
        containers=[container("engine", owner=OURS)],
        networks={"engine": volume("engine", owner=OURS)},
        volumes={name: volume(name, owner=OURS) for name in ("engine-images", "engine-certificates")},
    )
    assert found == []


def test_a_network_whose_id_begins_with_the_name_is_another(tmp_path: Path, port: int) -> None:
    assert preflight(tmp_path, port=port, docker=DIND, networks={"engine": volume("another")}) == []


def test_a_port_that_another_container_holds_is_refused_with_its_name(tmp_path: Path, port: int) -> None:
    [text] = preflight(tmp_path, port=port, containers=[container("grafana", port=port, ip="0.0.0.0")])
    assert f"ci:jenkins.httpPort = {port} is taken on 127.0.0.1 by the container grafana" in text


def test_a_port_of_another_address_is_free(tmp_path: Path, port: int) -> None:
    assert preflight(tmp_path, port=port, containers=[container("grafana", port=port, ip="127.0.0.9")]) == []


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7", "fe80::7"])
def test_an_address_that_this_host_lacks_is_refused_before_anything_is_made(
    tmp_path: Path, port: int, address: str
) -> None:
    [text] = preflight(tmp_path, port=port, jenkins={"bindAddress": address})
    assert text.startswith(f'ci:jenkins.bindAddress = "{address}" is not an address of this host')


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.9", "0.0.0.0"])
def test_an_address_that_this_host_has_is_taken(tmp_path: Path, port: int, address: str) -> None:
    assert preflight(tmp_path, port=port, jenkins={"bindAddress": address, "public": True}) == []


def test_a_port_that_another_process_holds_is_refused(tmp_path: Path, port: int) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()
        [text] = preflight(tmp_path, port=port)
    assert "is taken on 127.0.0.1 by another process" in text
    assert f"ss -ltnp 'sport = :{port}'" in text


def test_a_docker_client_that_the_host_lacks_is_refused(tmp_path: Path, port: int) -> None:
    [text] = preflight(tmp_path, port=port, jenkins={"dockerClient": "host", "dockerClientPath": "/nowhere/docker"})
    assert 'ci:jenkins.dockerClientPath = "/nowhere/docker" is no program on this host' in text


def refusal(docker: DockerSettings) -> str:
    with pytest.raises(AccessError) as caught:
        host_socket.find(docker)
    return str(caught.value)


def local(path: Path) -> DockerSettings:
    return settings(docker={"acceptRootOnHost": True, "host": f"unix://{path}"}).docker


def test_a_socket_that_is_not_there_is_refused_with_its_path(tmp_path: Path) -> None:
    assert f"finds nothing at {tmp_path}/docker.sock" in refusal(local(tmp_path / "docker.sock"))


def test_a_file_and_a_folder_in_the_sockets_place_are_refused_as_such(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert f"finds a file, not a socket, at {tmp_path}/file" in refusal(local(tmp_path / "file"))
    assert f"finds a folder, not a socket, at {tmp_path}" in refusal(local(tmp_path))


def test_a_dead_socket_is_refused_before_the_plugin_sees_it(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    stack = settings(docker={"acceptRootOnHost": True, "host": f"unix://{path}", "socketGroup": 998})
    [problem] = host.preflight(stack, project="ci", stack="test")
    assert f"{path} does not answer" in str(problem)
    assert "systemctl start docker" in str(problem)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a socket to another group")
def test_the_sockets_group_is_read_from_the_socket(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
        os.chown(path, 0, 4242)
        assert host_socket.find(local(path)).group == 4242
        os.chown(path, 0, 4243)
        assert host_socket.find(local(path)).group == 4243


def test_roots_own_group_is_refused_unless_it_is_meant() -> None:
    with pytest.raises(AccessError, match="root's own group"):
        group_in_container("/var/run/docker.sock", owner=0, group=0)
    meant = settings(docker={"acceptRootOnHost": True, "socketGroup": 0}).docker
    assert host_socket.find(meant).group == 0


def test_a_rootless_engines_socket_belongs_to_group_0_in_its_containers() -> None:
    assert group_in_container("/run/user/1000/docker.sock", owner=1000, group=1000) == 0


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a program named ssh in front of the real one; it writes down its arguments and answers from a file."""
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\ncat {tmp_path}/answer\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return tmp_path


def test_over_ssh_the_group_is_read_on_the_engines_host(ssh: Path) -> None:
    (ssh / "answer").write_text("0:961:c1b0\n")
    docker = settings(docker={"acceptRootOnHost": True, "host": "ssh://deploy@build-1.example.org:2222"}).docker
    assert host_socket.find(docker).group == 961
    asked = (ssh / "asked").read_text()
    assert "-p 2222 -- deploy@build-1.example.org stat -L -c %u:%g:%f /var/run/docker.sock" in asked


def test_over_ssh_a_path_that_is_no_socket_is_refused_with_the_host(ssh: Path) -> None:
    (ssh / "answer").write_text("0:0:81a4\n")
    docker = settings(docker={"acceptRootOnHost": True, "host": "ssh://deploy@build-1.example.org"}).docker
    assert "finds no socket at /var/run/docker.sock on build-1.example.org" in refusal(docker)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a socket to root and another group")
def test_over_ssh_a_path_is_one_word_to_the_hosts_shell(ssh: Path, tmp_path: Path) -> None:
    path = tmp_path / "docker's.sock"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
    os.chown(path, 0, 961)
    # What a host does with the words that ssh hands over.
    (ssh / "bin" / "ssh").write_text('#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift 2\nexec sh -c "$*"\n')
    docker = {"acceptRootOnHost": True, "host": "ssh://deploy@build-1.example.org", "socketPath": str(path)}
    assert host_socket.find(settings(docker=docker).docker).group == 961
