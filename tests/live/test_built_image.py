"""The image that is built on the host, with stand-ins for the two images that it is made from."""

import io
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.support import containers, deployment, release
from tests.support.deployment import Deployment
from tests.support.names import PREFIX
from tests.support.verbs import free_port

CONTAINER = f"{PREFIX}-built"
HOME = f"{CONTAINER}-home"
BASE = f"{PREFIX}-base:1"
CLIENT = f"{PREFIX}-cli:1"
PORTS = {"httpPort": free_port(), "agentPort": None}


def settings(**jenkins: Any) -> dict[str, Any]:
    names = {"containerName": CONTAINER, "homeVolume": HOME, "baseImage": BASE, "dockerCliImage": CLIENT}
    return {"platform": "docker", "docker": {"acceptRootOnHost": True}, "jenkins": {**names, **PORTS, **jenkins}}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient, stand_in: str) -> Iterator[Deployment]:
    """Deploy an image built from a base whose plugin manager only writes down what it was asked for."""
    manager = '#!/bin/sh\\necho "$@" >> /etc/asked\\n'
    base = f"""
        FROM {stand_in}
        USER root
        RUN printf '{manager}' > /usr/local/bin/jenkins-plugin-cli && chmod +x /usr/local/bin/jenkins-plugin-cli
        RUN touch /etc/asked && mkdir -p /usr/share/jenkins/ref && chown 1000 /etc/asked /usr/share/jenkins/ref
        USER jenkins
    """
    client = f"""
        FROM {stand_in}
        USER root
        WORKDIR /usr/local/libexec/docker/cli-plugins
        RUN touch docker-buildx
    """
    for tag, text in ((BASE, base), (CLIENT, client)):
        engine.images.build(fileobj=io.BytesIO(text.encode()), tag=tag, rm=True)
    made = deployment.copy(tmp_path_factory.mktemp("built"))
    made.configure(**settings())
    try:
        made.up()
        yield made
    finally:
        made.destroy()
        engine.volumes.get(HOME).remove()
        for tag in (BASE, CLIENT, f"ci-jenkins:{deployment.STACK}"):
            engine.images.remove(tag, force=True)


inside = partial(containers.inside, CONTAINER)


def asked() -> list[str]:
    return inside("cat", "/etc/asked").splitlines()


def test_the_image_has_the_pinned_plugins_and_the_client_and_nothing_changes_any_more(stack: Deployment) -> None:
    assert asked() == ["--latest=false --plugin-file /usr/share/jenkins/ref/plugins.txt"]
    assert "docker-workflow:" in inside("cat", "/usr/share/jenkins/ref/plugins.txt")
    assert inside("docker", "version")
    assert set(stack.up()) == {"same"}
    assert set(stack.preview()) == {"same"}


def test_neither_a_files_mode_nor_a_stray_file_is_a_change(stack: Deployment) -> None:
    folder = stack.root / "components/jenkins/image"
    for name in ("Dockerfile", "plugins.txt", ".dockerignore"):
        (folder / name).chmod(0o664)  # a checkout with umask 002
    (folder / ".DS_Store").write_text("stray")
    assert set(stack.preview()) == {"same"}


def test_the_image_is_built_for_the_engines_processor_and_the_run_says_nothing_about_it(
    stack: Deployment, engine: docker.DockerClient
) -> None:
    [image] = [one for one in json.loads(stack.state())["deployment"]["resources"] if one["type"].endswith(":Image")]
    assert image["inputs"]["build"]["platform"] == f"linux/{engine.version()['Arch']}"
    assert "Building your image for" not in "".join(stack.said)


def test_an_edited_plugin_list_is_seen_by_the_preview_and_builds_and_replaces_once(
    stack: Deployment, engine: docker.DockerClient
) -> None:
    plugins = Path(stack.root / "components/jenkins/image/plugins.txt")
    plugins.write_text(plugins.read_text() + "zz-another:1\n")
    assert set(stack.preview()) > {"same"}
    before = engine.containers.get(CONTAINER).id
    stack.up()
    assert engine.containers.get(CONTAINER).id != before
    assert "zz-another:1" in inside("cat", "/usr/share/jenkins/ref/plugins.txt")
    assert set(stack.up()) == {"same"}


def test_a_plugin_of_the_stack_is_installed_after_the_pinned_ones(stack: Deployment) -> None:
    stack.configure(**settings(plugins=["ansicolor:1", "ldap:2"]))
    stack.up()
    assert asked()[1:] == ["--latest=false --plugins ansicolor:1 ldap:2"]
    assert set(stack.up()) == {"same"}


def test_an_upgrade_from_the_last_release_builds_the_image_once_more_and_keeps_the_home(stack: Deployment) -> None:
    stack.destroy()
    release.released(stack.root)
    stack.configure(**settings())
    stack.up()
    inside("touch", "/var/jenkins_home/marker")
    release.present(stack.root)
    assert [urn for urn in release.lost(stack) if "/volume:Volume::" in urn] == []
    stack.up()
    assert inside("ls", "/var/jenkins_home/marker")
    assert "--plugin-file /usr/share/jenkins/ref/plugins.txt" in asked()[0]
    assert set(stack.up()) == {"same"}
    assert stack.preview().keys() <= {"same"}
