"""What a stack may say of its proxy, and what is answered to what it may not."""

from pathlib import Path
from typing import Any

import pytest

from components.docker.access import proxy
from tests.support.settings import problems, settings

STACKS = Path(__file__).parents[2] / "stacks"


def said(**changed: Any) -> str:
    [problem] = problems(docker={"acceptRootOnHost": True, "access": "proxy", **changed})
    return str(problem)


def test_a_proxy_is_one_line() -> None:
    made = settings(docker={"acceptRootOnHost": True, "access": "proxy"}).docker.proxy
    assert (made.image, made.container_name, made.memory_mib) == ("haproxy:3.2.21-alpine", "jenkins-docker-proxy", 128)


def test_root_on_the_host_has_to_be_accepted_all_the_same() -> None:
    [problem] = problems(docker={"access": "proxy"})
    assert problem.key == "ci:docker.acceptRootOnHost"
    assert "no sandbox" in problem.wrong


def test_the_sockets_path_and_group_are_the_proxys_too() -> None:
    docker = {"acceptRootOnHost": True, "access": "proxy", "socketGroup": 998, "socketPath": "/run/docker.sock"}
    assert settings(docker=docker).docker.socket_group == 998


@pytest.mark.parametrize("image", ["haproxy:2.6.12-alpine", "registry.example.org/library/haproxy:2.9"])
def test_a_haproxy_that_breaks_docker_exec_is_refused_with_one_that_does_not(image: str) -> None:
    text = said(proxy={"image": image})
    assert text.startswith(f'ci:docker.proxy.image = "{image}" is too old')
    assert "haproxy:3.2.21-alpine" in text


@pytest.mark.parametrize("image", ["haproxy:3.0", "haproxy:3.2.21-alpine", "registry.example.org/ci/filter:2.0"])
def test_newer_ones_and_images_of_another_name_are_taken(image: str) -> None:
    assert settings(docker={"acceptRootOnHost": True, "access": "proxy", "proxy": {"image": image}})


@pytest.mark.parametrize("name", ["jenkins-server", "jenkins_home"])
def test_a_name_that_jenkins_has_is_refused(name: str) -> None:
    assert "jenkins-docker-proxy" in said(proxy={"containerName": name})


def test_a_proxy_without_its_access_is_refused() -> None:
    [problem] = problems(docker={"acceptRootOnHost": True, "proxy": {"memoryMib": 256}})
    assert (problem.key, problem.code) == ("ci:docker.proxy", "no_effect")


def test_what_it_makes_under_a_name_of_its_own_is_looked_for_first() -> None:
    made = proxy.managed_names(settings(docker={"acceptRootOnHost": True, "access": "proxy"}))
    assert {(one.kind, one.name) for one in made} == {
        ("container", "jenkins-docker-proxy"),
        ("volume", "jenkins-docker-proxy"),
    }
    assert {one.key for one in made} == {"ci:docker.proxy.containerName"}
