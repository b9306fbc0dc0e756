"""What happens to Jenkins when the engine beneath it goes away, comes back, and has another group."""

import contextlib
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from setup import engine as local_engine
from tests.support import deployment
from tests.support.deployment import Deployment
from tests.support.names import PREFIX
from tests.support.verbs import free_port
from tests.support.waiting import eventually

CONTAINER = f"{PREFIX}-restart"


class OwnEngine:
    """A second Docker engine in a network namespace of its own: the machine's engine and firewall stay as they are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "docker.sock"
        self.host = f"unix://{self.socket}"
        self.namespace = PREFIX
        self._process: subprocess.Popen[bytes] | None = None
        self.clients: list[docker.DockerClient] = []

    def start(self, group: int) -> docker.DockerClient:
        """Start it with its socket in this group; wait until it answers."""
        # nsenter and not `ip netns exec`, which would hide the control groups.
        namespace = f"--net=/run/netns/{self.namespace}"
        command = ["nsenter", namespace, "dockerd", f"--host={self.host}", f"--group={group}"]
        folders = [f"--data-root={self.folder}/data", f"--exec-root={self.folder}/exec", f"--pidfile={self.folder}/pid"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([*command, *folders], stdout=log, stderr=log)
        eventually(lambda: local_engine.version(self.host), seconds=60)
        self.clients.append(docker.DockerClient(base_url=self.host, timeout=60))
        return self.clients[-1]

    def stop(self) -> None:
        """Stop it as a system does, and wait for its end."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=60)
            self._process = None


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnEngine]:
    for program in ("dockerd", "ip", "nsenter"):
        if shutil.which(program) is None:
            pytest.skip(f"a second engine needs the program {program}")
    if os.getuid() != 0:
        pytest.skip("a second engine needs root")
    # A short path: a unix socket's may have 108 characters.
    folder = Path(f"/tmp/ci-{uuid.uuid4().hex[:8]}")
    folder.mkdir()
    made = OwnEngine(folder)
    subprocess.run(["ip", "netns", "add", made.namespace], check=True)
    subprocess.run(["ip", "-n", made.namespace, "link", "set", "lo", "up"], check=True)
    try:
        yield made
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            made.stop()
        for client in made.clients:
            client.close()
        subprocess.run(["ip", "netns", "delete", made.namespace], check=True)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def stack(own: OwnEngine, engine: docker.DockerClient, controller: str, tmp_path: Path) -> Iterator[Deployment]:
    """Deploy on the second engine; the socket belongs to group 4242."""
    client = own.start(group=4242)
    client.images.load(b"".join(engine.images.get(controller).save(named=controller)))
    made = deployment.copy(tmp_path)
    # Not the defaults: this machine may have a Jenkins of its own.
    ports = {"httpPort": free_port(), "agentPort": free_port()}
    made.configure(
        platform="docker",
        docker={"acceptRootOnHost": True, "host": own.host},
        jenkins={"image": controller, "containerName": CONTAINER, **ports},
    )
    try:
        made.up()
        container = client.containers.get(CONTAINER)
        assert groups(container) == {"1000", "4242"}
        assert container.exec_run(["docker", "version"]).exit_code == 0
        container.exec_run(["sh", "-c", "echo kept > /var/jenkins_home/marker"])
        yield made
    finally:
        made.destroy()


def test_a_restarted_engine_is_healed_by_one_update_also_in_another_group(own: OwnEngine, stack: Deployment) -> None:
    for group in (4242, 4343):
        own.stop()
        client = own.start(group)
        stack.up()
        container = client.containers.get(CONTAINER)
        assert container.status == "running"
        assert groups(container) == {"1000", str(group)}
        # The engine made its socket anew: a container that kept the old one would see nothing.
        assert container.exec_run(["docker", "version"]).exit_code == 0
        assert container.exec_run(["cat", "/var/jenkins_home/marker"]).output == b"kept\n"
        assert set(stack.up()) == {"same"}


def groups(container: Any) -> set[str]:
    return set(container.exec_run(["id", "-G"]).output.decode().split())
