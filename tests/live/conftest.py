"""What the live tests share: the machine's Docker engine, left as it was, and the controller's image."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from components import labels
from ops.sample import IMAGE
from setup import cache
from tests.support import containers, jenkins
from tests.support.names import PREFIX

HOST = "unix:///var/run/docker.sock"


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """Give the machine's engine; `make test` starts one. Whatever is on it is there afterwards, and nothing more."""
    client = containers.client(HOST)
    before = _deployed(client)
    yield client
    # The containers, volumes and networks that have the tests' names.
    every: list[Any] = [*client.containers.list(all=True, ignore_removed=True), *client.volumes.list()]
    every += client.networks.list()
    left, gone = {one.name for one in every if str(one.name).startswith(PREFIX)}, before - _deployed(client)
    client.close()
    assert (left, gone) == (set(), set())


def _deployed(client: docker.DockerClient) -> set[str]:
    """The ids of what this project's stacks have running on the machine, those of other runs of the tests aside."""
    mine: dict[str, str | list[str] | bool] = {"label": f"{labels.PROJECT}=ci"}
    found: list[Any] = [*client.containers.list(filters=mine, ignore_removed=True), *client.volumes.list(filters=mine)]
    return {str(one.id) for one in found if not str(one.name).startswith("ci-test-")}


@pytest.fixture
def sample_image(engine: docker.DockerClient) -> Iterator[str]:
    """Let one test at a time build the sample's image on the machine's engine; what had its name has it again then."""

    def named() -> Any:
        return next(iter(engine.images.list(name=IMAGE)), None)

    with cache.locked(Path(tempfile.gettempdir()) / "ci-test-sample.lock", "another test that builds the sample"):
        before = named()
        yield IMAGE
        made = named()
        if before:
            before.tag(IMAGE)
        if made and made != before:
            engine.images.remove(made.id, force=True)


@pytest.fixture(scope="session")
def controller(engine: docker.DockerClient) -> str:
    """Give the controller's image: a real Jenkins where one can be had, else the stand-in."""
    return jenkins.image()


@pytest.fixture(scope="session")
def stand_in(engine: docker.DockerClient) -> str:
    """Give the image of the stand-in, for tests of it, and of an image that is built."""
    return jenkins.stand_in()


@pytest.fixture(scope="session")
def real_jenkins(engine: docker.DockerClient) -> str:
    """Give the image of a real Jenkins, for tests of what only that does. Skipped and counted where there is none."""
    return jenkins.require()
