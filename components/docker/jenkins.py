"""The Jenkins controller: one container, its home on a named volume, with a way to the engine of its jobs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_docker as docker

from components.docker.access import EngineAccess
from components.docker.container import HOME, container_labels, duration, volume_labels
from components.jenkins.casc import FOLDER
from components.settings import JenkinsSettings

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

    home: pulumi.Input[str]
    """The home volume's name, as `home_volume` gives it."""

    access: EngineAccess
    """The way to the engine of its jobs."""

    configuration: Mapping[str, str] | None = None
    """What Jenkins is configured with, without any secret, for previews to show; None for the setup wizard."""

    files: Mapping[str, pulumi.Input[str]]
    """Text files to put into the container before it starts, by absolute path. The secret ones are secret Outputs."""


class Jenkins(pulumi.ComponentResource):
    """A Jenkins controller on a Docker host.

    The container runs as uid 1000 without any capability and is no more than that user to the host's files. But whoever
    can make an engine start a container is root on that engine's host, and its access is to one.
    """

    container: pulumi.Output[str]
    """The container's name."""

    def __init__(self, name: str, args: JenkinsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the container under `name`."""
        super().__init__("ci:docker:Jenkins", name, {"configuration": args.configuration}, opts)
        settings = args.settings
        container = docker.Container(
            f"{name}-controller",
            name=settings.container_name,
            image=args.image,
            user=_USER,
            group_adds=list(args.access.groups),
            envs=_environment(settings, args.access, has_casc=args.configuration is not None),
            uploads=_uploads(args),
            # `volumes` for all: the plugin reads `mounts` back with fields of its own, and would see a change.
            volumes=_volumes(settings, args.home, args.access),
            networks_advanced=list(args.access.networks) or None,
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
                start_period=duration(settings.start_timeout_seconds),
            ),
            wait=True,
            wait_timeout=settings.start_timeout_seconds,
            stop_timeout=settings.stop_timeout_seconds,
            destroy_grace_seconds=settings.stop_timeout_seconds,  # without it the plugin kills at once
            labels=container_labels(),
            opts=pulumi.ResourceOptions(
                parent=self,
                delete_before_replace=True,  # its name and ports can be held only once
                replace_on_changes=["healthcheck"],  # the plugin would report an update and change nothing
                depends_on=list(args.access.after),
            ),
        )
        self.container = container.name
        self.register_outputs({"container": self.container})


def home_volume(name: str, settings: JenkinsSettings, opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """Register the volume that holds the home of the controller `name`; give the volume's name."""
    volume = docker.Volume(
        f"{name}-home",
        name=settings.home_volume,
        labels=volume_labels(),
        # The plugin cannot change a volume, only replace it, and the home must outlive any change and the stack.
        opts=pulumi.ResourceOptions.merge(
            opts,
            pulumi.ResourceOptions(
                retain_on_delete=True,
                ignore_changes=["labels"],
                # It was the controller's own child once; stacks of that time have it under that address.
                aliases=[pulumi.Alias(parent=_urn("ci:docker:Jenkins", name))],
            ),
        ),
    )
    return volume.name


def _urn(kind: str, name: str) -> str:
    return f"urn:pulumi:{pulumi.get_stack()}::{pulumi.get_project()}::{kind}::{name}"


def _uploads(args: JenkinsArgs) -> list[docker.ContainerUploadArgs]:
    texts = {path: docker.ContainerUploadArgs(file=path, content=text) for path, text in args.files.items()}
    return [upload for _, upload in sorted({**texts, **args.access.files}.items())]


def _environment(settings: JenkinsSettings, access: EngineAccess, *, has_casc: bool) -> list[str]:
    # A controller that has run out of heap is only half there: it ends, and the restart policy starts it again.
    java = [f"-XX:MaxRAMPercentage={_HEAP_PERCENT}.0", "-XX:+ExitOnOutOfMemoryError", *settings.java_options]
    # The image's pinned plugins win over older ones in the volume, also over those of a home from elsewhere.
    environment = {"PLUGINS_FORCE_UPGRADE": "true", "TRY_UPGRADE_IF_NO_MARKER": "true"}
    if has_casc:
        # Without the second, a secret that is missing would quietly become an empty one.
        java += ["-Djenkins.install.runSetupWizard=false", "-Dcasc.strict.secret.resolution=true"]
        environment["CASC_JENKINS_CONFIG"] = FOLDER
    environment["JAVA_OPTS"] = " ".join(java)
    environment.update(access.environment)
    return [f"{key}={value}" for key, value in sorted(environment.items())]


def _volumes(
    settings: JenkinsSettings, home: pulumi.Input[str], access: EngineAccess
) -> list[docker.ContainerVolumeArgs]:
    volumes = [
        docker.ContainerVolumeArgs(volume_name=home, container_path=HOME, read_only=False),
        *access.volumes,
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
