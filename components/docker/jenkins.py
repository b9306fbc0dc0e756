"""The Jenkins controller: one container, its home on a named volume, the engine's socket mounted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_docker as docker

from components import labels
from components.docker.access import SOCKET_IN_CONTAINER, SocketAccess
from components.jenkins.casc import FOLDER
from components.settings import JenkinsSettings

HOME: Final = "/var/jenkins_home"
"""Jenkins' home, at the path that the image declares. A job's `inside` mounts it into its own containers from here."""

_USER: Final = "1000:1000"
"""The image's user `jenkins`. Source: the package jenkinsci/docker, debian/Dockerfile, ARG uid and gid."""

_HEAP_PERCENT: Final = 60
"""Share of the memory limit for the Java heap. The rest is for what the machine needs beside it, and for jobs' `sh`."""


@dataclass(frozen=True, kw_only=True)
class JenkinsArgs:
    """What a controller is made from."""

    settings: JenkinsSettings
    """Ports, volume, limits."""

    image: pulumi.Input[str]
    """The image's id on the engine's host, so that a changed image replaces the container."""

    access: SocketAccess
    """The engine's socket."""

    configuration: Mapping[str, str] | None = None
    """What Jenkins is configured with, without any secret, for previews to show; None for the setup wizard."""

    files: Mapping[str, pulumi.Input[str]]
    """Text files to put into the container before it starts, by absolute path. The secret ones are secret Outputs."""


class Jenkins(pulumi.ComponentResource):
    """A Jenkins controller on a Docker host.

    The container runs as uid 1000 without any capability and is no more than that user to the host's files, but it
    holds the engine's socket, and whoever can make the engine start a container is root on its host.
    """

    container: pulumi.Output[str]
    """The container's name."""

    home: pulumi.Output[str]
    """The home volume's name."""

    def __init__(self, name: str, args: JenkinsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the volume and the container under `name`."""
        super().__init__("ci:docker:Jenkins", name, {"configuration": args.configuration}, opts)
        settings = args.settings
        mine = labels.of(pulumi.get_project(), pulumi.get_stack())
        volume = docker.Volume(
            f"{name}-home",
            name=settings.home_volume,
            labels=[docker.VolumeLabelArgs(label=label, value=value) for label, value in sorted(mine.items())],
            # The plugin cannot change a volume, only replace it, and the home must outlive any change and the stack.
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True, ignore_changes=["labels"]),
        )
        container = docker.Container(
            f"{name}-controller",
            name=settings.container_name,
            image=args.image,
            user=_USER,
            group_adds=[str(args.access.group)],
            envs=_environment(settings, has_casc=args.configuration is not None),
            uploads=[
                docker.ContainerUploadArgs(file=path, content=content) for path, content in sorted(args.files.items())
            ],
            # `volumes` for all three: the plugin reads `mounts` back with fields of its own, and would see a change.
            volumes=_volumes(settings, volume.name, args.access),
            ports=_ports(settings),
            restart=settings.restart,
            must_run=True,
            capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
            security_opts=["no-new-privileges:true"],
            privileged=False,
            memory=settings.memory_mib,
            memory_swap=settings.memory_mib,  # absent, the engine fills in the double, and a change is seen
            log_driver="json-file",
            log_opts={"max-size": f"{settings.log_max_size_mib}m", "max-file": str(settings.log_max_files)},
            healthcheck=docker.ContainerHealthcheckArgs(
                # /login answers 503 until configuration as code is applied and the jobs are loaded.
                tests=["CMD", "curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:8080/login"],
                # As the engine writes them back: "10m0s", never "600s".
                interval="5s",
                timeout="10s",
                retries=6,
                start_period=_duration(settings.start_timeout_seconds),
            ),
            wait=True,
            wait_timeout=settings.start_timeout_seconds,
            stop_timeout=settings.stop_timeout_seconds,
            destroy_grace_seconds=settings.stop_timeout_seconds,  # without it the plugin kills at once
            labels=[docker.ContainerLabelArgs(label=label, value=value) for label, value in sorted(mine.items())],
            opts=pulumi.ResourceOptions(
                parent=self,
                delete_before_replace=True,  # its name and ports can be held only once
                replace_on_changes=["healthcheck"],  # the plugin would report an update and change nothing
            ),
        )
        self.container = container.name
        self.home = volume.name
        self.register_outputs({"container": self.container, "home": self.home})


def _environment(settings: JenkinsSettings, *, has_casc: bool) -> list[str]:
    # A controller that has run out of heap is only half there: it ends, and the restart policy starts it again.
    java = [f"-XX:MaxRAMPercentage={_HEAP_PERCENT}.0", "-XX:+ExitOnOutOfMemoryError", *settings.java_options]
    # The image's pinned plugins win over older ones in the volume, also over those of a home from elsewhere.
    environment = {"PLUGINS_FORCE_UPGRADE": "true", "TRY_UPGRADE_IF_NO_MARKER": "true"}
    if has_casc:
        # Without the second, a secret that is missing would quietly become an empty one.
        java += ["-Djenkins.install.runSetupWizard=false", "-Dcasc.strict.secret.resolution=true"]
        environment["CASC_JENKINS_CONFIG"] = FOLDER
    environment["JAVA_OPTS"] = " ".join(java)
    return [f"{key}={value}" for key, value in sorted(environment.items())]


def _volumes(
    settings: JenkinsSettings, home: pulumi.Input[str], access: SocketAccess
) -> list[docker.ContainerVolumeArgs]:
    volumes = [
        docker.ContainerVolumeArgs(volume_name=home, container_path=HOME, read_only=False),
        docker.ContainerVolumeArgs(host_path=access.path, container_path=SOCKET_IN_CONTAINER, read_only=False),
    ]
    if settings.docker_client == "host":
        volumes.append(
            docker.ContainerVolumeArgs(
                host_path=settings.docker_client_path, container_path="/usr/bin/docker", read_only=True
            )
        )
    return volumes


def _ports(settings: JenkinsSettings) -> list[docker.ContainerPortArgs]:
    # In the order in which the plugin reads them back: by the port inside.
    published = [(8080, settings.http_port), (50000, settings.agent_port)]
    return [
        docker.ContainerPortArgs(internal=internal, external=external, ip=settings.bind_address)
        for internal, external in published
        if external is not None
    ]


def _duration(seconds: int) -> str:
    """Write a duration as the engine's language does, for example 90 as 1m30s and 3600 as 1h0m0s."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
