"""Two stacks of the project and one home: it goes from one to the other, and is never used by both."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import docker
import pytest

from components import labels
from tests.support import containers, deployment
from tests.support.deployment import Deployment
from tests.support.names import PREFIX
from tests.support.verbs import free_port

CONTAINER = f"{PREFIX}-moved"
HOME = f"{CONTAINER}-home"


def configure(stack: Deployment, image: str, container: str) -> None:
    ports = {"httpPort": free_port(), "agentPort": None}
    jenkins = {"image": image, "containerName": container, "homeVolume": HOME, **ports}
    stack.configure(platform="docker", docker={"acceptRootOnHost": True}, jenkins=jenkins)


@pytest.fixture
def stacks(
    tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient, controller: str
) -> Iterator[tuple[Deployment, Deployment]]:
    """Two stacks that are alike; afterwards they are gone, and so is the home."""
    first = deployment.copy(tmp_path_factory.mktemp("moved"))
    second = replace(first, name=f"{first.name}-next")
    second.pulumi("stack", "init", "--no-select")
    configure(first, controller, CONTAINER)
    try:
        yield first, second
    finally:
        first.destroy()
        second.destroy()
        engine.volumes.get(HOME).remove()


inside = partial(containers.inside, CONTAINER)


def test_a_home_goes_on_in_another_stack_once_the_first_is_down_and_not_before(
    stacks: tuple[Deployment, Deployment], engine: docker.DockerClient, controller: str
) -> None:
    first, second = stacks
    first.up()
    inside("sh", "-c", "echo a year of builds > /var/jenkins_home/kept")
    # Under another name and another port, only the home is shared.
    configure(second, controller, f"{CONTAINER}-2")
    text = second.pulumi("up", "--yes", status=None)
    assert f'ci:jenkins.homeVolume = "{HOME}"' in text
    assert f"docker inspect {engine.containers.get(CONTAINER).short_id}" in text
    assert second.resources() == []

    first.destroy()
    configure(second, controller, CONTAINER)
    second.up()
    assert inside("cat", "/var/jenkins_home/kept") == "a year of builds\n"
    assert set(second.preview()) == {"same"}
    assert labels.owner(engine.volumes.get(HOME).attrs["Labels"]) == f"ci/{first.name}"

    assert "ci:jenkins.homeVolume" in first.pulumi("preview", status=None)
    second.destroy()
    first.up()
    assert inside("cat", "/var/jenkins_home/kept") == "a year of builds\n"
