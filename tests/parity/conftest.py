"""Fixtures: the plugins under test, a Docker engine, a test image, and stacks that clean up after themselves."""

from __future__ import annotations

import io
import os
import tarfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import docker
import pytest
from docker.errors import DockerException

from offline import binaries
from offline.toolchain import bundle
from ops.toolchain import docker_engine, pulumi_cli, toolchain
from tests.parity.support import Look, Plugins, Stack

if TYPE_CHECKING:
    from collections.abc import Iterator


APPLETS = ("sh", "sleep", "cat", "id", "true", "false", "touch", "mkdir", "httpd", "wget", "ls")


@pytest.fixture(scope="session")
def cli() -> Path:
    """The Pulumi CLI: that of CI_TEST_PULUMI, or the project's."""
    own = pulumi_cli.find(toolchain.users_own(os.environ))
    found = os.environ.get("CI_TEST_PULUMI") or (own and own.path)
    if not found:
        pytest.skip("no Pulumi CLI on this machine: `make test` gets one, and CI_TEST_PULUMI may name one")
    return Path(found)


def official_plugins(cli: Path) -> Plugins:
    """The official plugins, of CI_TEST_PULUMI_HOME or the user's own home."""
    home = os.environ.get("CI_TEST_PULUMI_HOME", str(Path.home() / ".pulumi"))
    return Plugins("official", cli, {"PULUMI_HOME": home})


def bundled_plugins(cli: Path, folder: Path) -> Plugins:
    """The bundled plugins, installed into a folder."""
    bundle(folder, cli, ["host", "docker"])
    binaries = folder / "bin"
    path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
    return Plugins("bundled", binaries / "pulumi", {"PULUMI_HOME": str(folder / "home"), "PATH": path})


@pytest.fixture(scope="session")
def plugins(cli: Path, tmp_path_factory: pytest.TempPathFactory) -> Plugins:
    """The plugins that CI_TEST_PLUGINS names: "bundled" (default), installed here, or "official"."""
    if os.environ.get("CI_TEST_PLUGINS", "bundled") == "official":
        return official_plugins(cli)
    return bundled_plugins(cli, tmp_path_factory.mktemp("plugins"))


@pytest.fixture(scope="session")
def engine(host: str) -> Iterator[docker.DockerClient]:
    """A client of the Docker engine of DOCKER_HOST, or of this machine."""
    try:
        # Where nothing answers at a socket, the SDK leaves it open, and that ends a run of pytest as an error.
        if host.startswith("unix://") and not docker_engine.version(host):
            pytest.skip(f"no Docker engine answers at {host}")
        client = docker.from_env()
        client.ping()
    except (DockerException, PermissionError) as error:
        pytest.skip(f"no Docker engine: {error}")
    yield client
    client.close()


@pytest.fixture(scope="session")
def host() -> str:
    """The address of the engine, as a program gives it."""
    return os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"


@pytest.fixture(scope="session")
def image(engine: docker.DockerClient) -> Iterator[str]:
    """The name of a small image: busybox."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for folder in ("bin", "tmp", "etc"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            archive.addfile(entry)
        archive.add(binaries.busybox(), "bin/busybox")
        for applet in APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
    name = f"parity-{uuid.uuid4().hex[:8]}:1"
    repository, tag = name.split(":")
    engine.api.import_image_from_data(packed.getvalue(), repository=repository, tag=tag)
    yield name
    engine.images.remove(name, force=True)


@pytest.fixture
def unique() -> str:
    """A prefix for the names of one test."""
    return f"parity-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def module_unique() -> str:
    """A prefix for the names of one module."""
    return f"parity-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def stack(tmp_path: Path, plugins: Plugins, host: str) -> Iterator[Stack]:
    """A fresh stack, destroyed in the end."""
    fresh = Stack(tmp_path, plugins, host)
    fresh.write()
    yield fresh
    fresh.destroy()


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory, plugins: Plugins, host: str) -> Iterator[Stack]:
    """A stack for one module's tests, destroyed in the end."""
    fresh = Stack(tmp_path_factory.mktemp("stack"), plugins, host)
    fresh.write()
    yield fresh
    fresh.destroy()


@pytest.fixture
def look(engine: docker.DockerClient) -> Look:
    """Give a container by its name; fail when it is not there."""
    return engine.containers.get
