"""A GitLab Runner on a Docker host: one container, which starts a container for each job on the host's own engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_docker as docker

from components.docker.access.host_socket import SOCKET_IN_CONTAINER, Socket
from components.docker.container import LOG_OPTIONS, container_labels
from components.gitlab import config
from components.settings import GitlabRunnerSettings

_PROBE: Final = f"http://127.0.0.1:{config.PORT}/metrics"
_READY_SECONDS: Final = 120
"""How long an update waits for the runner. It is ready when it has read its configuration, in a second or two."""


@dataclass(frozen=True, kw_only=True)
class GitlabRunnerArgs:
    """What a runner is made from."""

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
    """A runner that is a plain user with the socket's group, and no capability.

    It holds the engine's socket, and whoever can make the engine start a container is root on its host. Jobs don't get
    more of that than `ci:gitlabRunner.engine` gives them.
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
            restart="unless-stopped",
            must_run=True,
            capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
            security_opts=["no-new-privileges:true"],
            privileged=False,
            memory=settings.memory_mib,
            memory_swap=settings.memory_mib,  # absent, the engine fills in the double, and a change is seen
            log_driver="json-file",
            log_opts=LOG_OPTIONS,
            healthcheck=docker.ContainerHealthcheckArgs(
                # The image on Alpine has the first, the one on Ubuntu the second.
                tests=["CMD-SHELL", f"wget -q -O /dev/null {_PROBE} || curl -fsS -o /dev/null {_PROBE}"],
                # As the engine writes them back: "2m0s", never "120s".
                interval="5s",
                timeout="10s",
                retries=6,
                start_period="1m0s",
            ),
            wait=True,
            wait_timeout=_READY_SECONDS,
            # The image's own signal to stop lets the jobs that run end first.
            stop_timeout=settings.stop_timeout_seconds,
            destroy_grace_seconds=settings.stop_timeout_seconds,  # without it the plugin kills at once
            labels=container_labels(),
            opts=pulumi.ResourceOptions(
                parent=self,
                delete_before_replace=True,  # its name can be held only once
                replace_on_changes=["healthcheck"],  # the plugin would report an update and change nothing
            ),
        )
        self.container = container.name
        self.register_outputs({"container": self.container})
