"""One container of the stand-in controller, hardened as the stack hardens it, without Pulumi."""

import contextlib
import io
import secrets
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import docker.errors
import tenacity
from docker.models.containers import Container

from components.jenkins import casc

SOCKET = Path("/var/run/docker.sock")
HOME = "/var/jenkins_home"
IDENTITY = f"{HOME}/stand-in-identity"
BUILD_LABEL = "ci.offline.build"
"""What the stand-in labels the containers of its builds with."""


def eventually(ask: Callable[[], Any], *, seconds: float = 30) -> Any:
    """Ask until the answer is true, and give it; fail after so many seconds."""
    return tenacity.Retrying(
        wait=tenacity.wait_fixed(0.05),
        stop=tenacity.stop_after_delay(seconds),
        retry=tenacity.retry_if_result(lambda answer: not answer),
    )(ask)


@dataclass
class StandIn:
    """A home volume, and the controllers that run on it one after the other."""

    engine: docker.DockerClient
    image: str
    files: Mapping[str, str]
    """What is uploaded: path in the container to text. Without configuration as code it is the wizard's way."""
    groups: tuple[int, ...] = field(default_factory=lambda: (SOCKET.stat().st_gid,))
    name: str = field(default_factory=lambda: f"ci-test-stand-in-{secrets.token_hex(4)}")

    @property
    def container(self) -> Container:
        """The container as the engine has it now."""
        return self.engine.containers.get(self.name)

    @property
    def url(self) -> str:
        """Where it is reached; another port after each start."""
        [bound] = self.container.attrs["NetworkSettings"]["Ports"]["8080/tcp"]
        return f"http://127.0.0.1:{bound['HostPort']}"

    def start(self) -> "StandIn":
        """Make and start the container, and wait until it is healthy."""
        self.launch()
        eventually(lambda: self.container.attrs["State"].get("Health", {}).get("Status") == "healthy")
        return self

    def launch(self) -> None:
        """Make and start the container."""
        container = self.engine.containers.create(
            self.image,
            name=self.name,
            user="1000:1000",
            group_add=list(self.groups),
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            mem_limit="256m",
            memswap_limit="256m",
            ports={"8080/tcp": ("127.0.0.1", 0)},
            volumes=[f"{self.name}:{HOME}", f"{SOCKET}:/var/run/docker.sock"],
            environment={"CASC_JENKINS_CONFIG": casc.FOLDER} if casc.FILE in self.files else {},
            healthcheck={
                "test": ["CMD", "curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:8080/login"],
                "interval": 200_000_000,
            },
            init=True,
            restart_policy={"Name": "on-failure", "MaximumRetryCount": 3},
        )
        container.put_archive("/", _tar(self.files))
        container.start()

    def run(self, *command: str) -> tuple[int, str]:
        """Run a command in the controller as its own user; give its exit status and all that it printed."""
        done: Any = self.container.exec_run(list(command))
        return done.exit_code, done.output.decode()

    def read(self, path: str) -> str:
        """Give a file's text."""
        status, text = self.run("cat", path)
        assert status == 0, text
        return text

    def logs(self) -> str:
        """Give all that the controller has printed."""
        return bytes(self.container.logs(stream=False)).decode()

    def builds(self) -> list[Container]:
        """Give the containers that builds of this home have left running or stopped."""
        return self._builds_of(self.read(IDENTITY))

    def _builds_of(self, identity: str) -> list[Container]:
        found = self.engine.containers.list(all=True, filters={"label": BUILD_LABEL}, ignore_removed=True)
        return [container for container in found if container.labels[BUILD_LABEL].startswith(f"{identity.strip()}/")]

    def drop(self) -> None:
        """Remove the container, as an update of the stack does; the volume stays."""
        with contextlib.suppress(docker.errors.NotFound):
            container: Any = self.container  # the types want a retry count that "no" may not have
            container.update(restart_policy={"Name": "no"})  # else the engine may start it while it is removed
            container.remove(force=True)

    def remove(self) -> None:
        """Remove the container, those of its builds, and the volume."""
        with contextlib.suppress(docker.errors.NotFound, docker.errors.APIError):
            # One that never came up, or is going down at this moment, has no identity to give and has built nothing.
            status, identity = self.run("cat", IDENTITY)
            for container in self._builds_of(identity) if status == 0 else ():
                container.remove(force=True)
        self.drop()
        with contextlib.suppress(docker.errors.NotFound):
            self.engine.volumes.get(self.name).remove()


def _tar(files: Mapping[str, str]) -> bytes:
    """The files as the provider uploads them: root's, readable by all."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as out:
        for path, text in files.items():
            info = tarfile.TarInfo(path.lstrip("/"))
            info.size, info.mode = len(text.encode()), 0o755 if text.startswith("#!") else 0o644
            out.addfile(info, io.BytesIO(text.encode()))
    return target.getvalue()
