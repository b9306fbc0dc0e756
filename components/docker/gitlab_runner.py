"""A GitLab Runner on a Docker host: one container, which starts a container for each job on the host's engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_docker as docker

from ..gitlab import config
from ..settings import GitlabRunnerSettings
from .access.host_socket import SOCKET_IN_CONTAINER, Socket
from .container import UNPRIVILEGED, service

_PROBE: Final = f"http://127.0.0.1:{config.PORT}/metrics"
_PERIOD: Final = 100_000
"""The kernel's own period for a quota of processor time, microseconds."""

_READY_SECONDS: Final = 120
"""How long an update waits for the runner, which is ready within two seconds once its image is there."""


@dataclass(frozen=True, kw_only=True)
class GitlabRunnerArgs:
    """The inputs of a runner."""

    settings: GitlabRunnerSettings
    image: pulumi.Input[str]
    """The image's id on the engine's host, so that a changed image replaces the container."""

    socket: Socket
    """The host's own engine's."""

    shown: str
    """The configuration without the token, for previews to show."""

    files: Mapping[str, pulumi.Input[str]]
    """The files of config.FOLDER by name. The configuration is a secret."""


class GitlabRunner(pulumi.ComponentResource):
    """A runner: a plain user in the socket's group, without capabilities.

    It has the engine's socket, so it can get root on the host. Jobs get only what `ci:gitlabRunner.engine` gives them.
    """

    container: pulumi.Output[str]
    """The container's name."""

    def __init__(self, name: str, args: GitlabRunnerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the container under `name`."""
        super().__init__("ci:docker:GitlabRunner", name, {"configuration": args.shown}, opts)
        settings = args.settings
        container = docker.Container(
            f"{name}-container",
            name=settings.container_name,
            image=args.image,
            command=list(config.COMMAND),
            user=f"{config.USER}:{config.USER}",
            group_adds=[str(args.socket.group)],
            envs=[f"{key}={value}" for key, value in sorted(config.ENVIRONMENT.items())],
            uploads=[
                docker.ContainerUploadArgs(file=f"{config.FOLDER}/{file}", content=content)
                for file, content in sorted(args.files.items())
            ],
            volumes=[
                docker.ContainerVolumeArgs(
                    host_path=args.socket.path, container_path=SOCKET_IN_CONTAINER, read_only=False
                )
            ],
            # Not `cpus`, which the plugin reads back rounded. It does not change these in a container that runs.
            cpu_period=_PERIOD,
            cpu_quota=settings.cpu_millicores * _PERIOD // 1000,
            restart="unless-stopped",
            **UNPRIVILEGED,
            **service(
                parent=self,
                memory_mib=settings.memory_mib,
                # The image on Alpine has the first, the one on Ubuntu the second.
                healthy=["CMD-SHELL", f"wget -q -O /dev/null {_PROBE} || curl -fsS -o /dev/null {_PROBE}"],
                start_seconds=60,
                ready_seconds=_READY_SECONDS,
                # The image's own signal to stop lets the jobs that run end first.
                stop_seconds=settings.stop_timeout_seconds,
                replaces=["cpuQuota"],
            ),
        )
        self.container = container.name
        self.register_outputs({"container": self.container})
