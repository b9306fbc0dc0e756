"""What the live tests share: the machine's Docker engine, and the image of the stand-in controller."""

from collections.abc import Iterator

import docker
import pytest

from ops.toolchain import docker_engine

HOST = "unix:///var/run/docker.sock"


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """Give the machine's engine; `make test` starts one."""
    # Not asked by the SDK: where none answers it leaves a socket open, and that ends a run of pytest as an error.
    try:
        if not docker_engine.answers(HOST):
            pytest.skip(f"no Docker engine answers at {HOST}")
    except docker_engine.DeniedError:
        pytest.skip(f"the Docker engine at {HOST} is not open to whoever runs the tests")
    client = docker.DockerClient(base_url=HOST, timeout=120)
    yield client
    client.close()


@pytest.fixture(scope="session")
def controller(engine: docker.DockerClient) -> str:
    """Give the stand-in controller's image, made if the engine lacks it."""
    from offline import images  # noqa: PLC0415

    images.ensure(HOST)
    return images.CONTROLLER
