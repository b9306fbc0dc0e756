"""Fixtures: the plugins under test, a Docker engine, a test image, and stacks that clean up after themselves."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from offline import binaries, images
from offline.engine import load
from offline.toolchain import bundle
from setup import toolchain
from tests.parity.support import PATIENCE, Look, Plugins, Stack
from tests.support import containers


@pytest.fixture(scope="session")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Plugins:
    """The plugins that CI_TEST_PLUGINS names: "bundled" (default), installed here, or "official".

    The official ones are those of CI_TEST_PULUMI_HOME, or of the user's own home. CI_TEST_PULUMI names the CLI; by
    default it is the project's.
    """
    own = toolchain.find_cli(toolchain.users_own())
    cli = os.environ.get("CI_TEST_PULUMI") or (own and own.path)
    if not cli:
        pytest.skip("no Pulumi CLI on this machine: `make test` gets one, and CI_TEST_PULUMI may name one")
    if os.environ.get("CI_TEST_PLUGINS", "bundled") == "official":
        home = os.environ.get("CI_TEST_PULUMI_HOME", str(Path.home() / ".pulumi"))
        return Plugins(Path(cli), {"PULUMI_HOME": home}, bundled=False)
    folder = tmp_path_factory.mktemp("plugins")
    bundle(folder, Path(cli), ["host", "docker"])
    return Plugins(folder / "bin" / "pulumi", {}, bundled=True)


@pytest.fixture(scope="session")
def host() -> str:
    """The address of the engine, as a program gives it: that of DOCKER_HOST, or of this machine."""
    return os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"


@pytest.fixture(scope="session")
def engine(host: str) -> Iterator[docker.DockerClient]:
    """A client of the engine."""
    client = containers.client(host)
    yield client
    client.close()


@pytest.fixture(scope="session")
def image(engine: docker.DockerClient, host: str) -> Iterator[str]:
    """The name of a small image: busybox."""
    name = f"parity-{uuid.uuid4().hex[:8]}:1"
    load(host, name, list(images.userland(binaries.busybox())), {"Env": [images.PATH]})
    yield name
    engine.images.remove(name, force=True)


@pytest.fixture(scope="module")
def unique() -> str:
    """A prefix for the names of one module."""
    return f"parity-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, plugins: Plugins, host: str) -> Iterator[Stack]:
    """A stack for one module's tests, destroyed in the end."""
    fresh = Stack(tmp_path_factory.mktemp("stack"), plugins, host)
    fresh.write()
    yield fresh
    fresh.start("destroy", "--yes", "--skip-preview").communicate(timeout=PATIENCE)


@pytest.fixture
def look(engine: docker.DockerClient) -> Look:
    """Give a container by its name; fail when it is not there."""
    return engine.containers.get
