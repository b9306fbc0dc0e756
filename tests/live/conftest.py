"""What the live tests share: the machine's Docker engine, and the image of the stand-in controller."""

from collections.abc import Iterator

import docker
import docker.errors
import pytest

HOST = "unix:///var/run/docker.sock"


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """Give the machine's engine; `make test` starts one."""
    try:
        client = docker.DockerClient(base_url=HOST, timeout=120)
        client.ping()
    except docker.errors.DockerException as error:
        pytest.skip(f"no Docker engine at {HOST}: {error}")
    yield client
    client.close()


@pytest.fixture(scope="session")
def controller(engine: docker.DockerClient) -> str:
    """Give the stand-in controller's image, made if the engine lacks it."""
    from tools.offline import images  # noqa: PLC0415

    images.ensure(HOST)
    return images.CONTROLLER
