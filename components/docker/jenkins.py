"""The Jenkins controller: one container, its home on a named volume, and access to the engine of its jobs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_docker as docker

from ..jenkins.casc import FOLDER
from ..settings import JenkinsSettings
from .access import EngineAccess
from .container import HOME, UNPRIVILEGED, USER, own_labels, service

_AGENT_PORT: Final = 50000
"""Where the controller listens for inbound agents, inside of its container."""

START_SECONDS: Final = 600
"""How long a health check may fail at first. Not `startTimeoutSeconds`, which an update waits whatever the health check
says meanwhile, and of which a new value would replace the container."""

_HEAP_PERCENT: Final = 60
"""Share of the memory limit for the Java heap. The rest is for Java itself, and for the processes of jobs."""


@dataclass(frozen=True, kw_only=True)
class JenkinsArgs:
    """The inputs of a controller."""

    settings: JenkinsSettings
    """Ports, volume, limits."""

    image: pulumi.Input[str]
    """The image's id on the engine's host, so that a changed image replaces the container."""

    home: pulumi.Input[str]
    """The home volume's name, as `home_volume` gives it."""

    access: EngineAccess
    """What reaches the engine of its jobs or, if those run on agents, what reaches the agents."""

    configuration: Mapping[str, str] | None = None
    """Jenkins' configuration without secrets, which previews show. None for the setup wizard."""

    files: Mapping[str, pulumi.Input[str]]
    """Text files to put into the container before it starts, by absolute path. The secret ones are secret Outputs."""


class Jenkins(pulumi.ComponentResource):
    """A Jenkins controller on a Docker host.

    The container runs as uid 1000 without capabilities. But it has access to a Docker engine, and anyone who can make
    an engine start a container has root on that engine's host.
    """

    container: pulumi.Output[str]
    """The container's name."""

    def __init__(self, name: str, args: JenkinsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the container under `name`."""
        super().__init__("ci:docker:Jenkins", name, {"configuration": args.configuration}, opts)
        settings = args.settings
        texts = {path: docker.ContainerUploadArgs(file=path, content=text) for path, text in args.files.items()}
        container = docker.Container(
            f"{name}-controller",
            name=settings.container_name,
            image=args.image,
            user=USER,
            group_adds=list(args.access.groups),
            envs=_environment(settings, args.access, has_casc=args.configuration is not None),
            uploads=[upload for _, upload in sorted({**texts, **args.access.files}.items())],
            # Not `mounts`: the plugin reads those back with more fields, and would see a change.
            volumes=[
                docker.ContainerVolumeArgs(volume_name=args.home, container_path=HOME, read_only=False),
                *args.access.volumes,
            ],
            networks_advanced=list(args.access.networks) or None,
            ports=_ports(settings),
            restart=settings.restart,
            **UNPRIVILEGED,
            **service(
                parent=self,
                memory_mib=settings.memory_mib,
                # /login answers 503 until configuration as code is applied and the jobs are loaded.
                healthy=["CMD", "curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:8080/login"],
                start_seconds=START_SECONDS,
                ready_seconds=settings.start_timeout_seconds,
                stop_seconds=settings.stop_timeout_seconds,
                log_options={"max-size": f"{settings.log_max_size_mib}m", "max-file": str(settings.log_max_files)},
                after=args.access.after,
                replaces=["memory"],  # Java takes its share of it once, as it starts
            ),
        )
        self.container = container.name
        self.register_outputs({"container": self.container})


def home_volume(name: str, settings: JenkinsSettings, opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """Register the volume with the home of the controller `name`, and return the volume's name."""
    volume = docker.Volume(
        f"{name}-home",
        name=settings.home_volume,
        labels=own_labels(),
        # The plugin can only replace a volume, and the home must survive any change, and the stack.
        opts=pulumi.ResourceOptions.merge(
            opts,
            pulumi.ResourceOptions(
                retain_on_delete=True,
                ignore_changes=["labels"],
            ),
        ),
    )
    return volume.name


def _environment(settings: JenkinsSettings, access: EngineAccess, *, has_casc: bool) -> list[str]:
    # A controller without heap half works. So it ends, and the restart policy starts it again.
    java = [f"-XX:MaxRAMPercentage={_HEAP_PERCENT}.0", "-XX:+ExitOnOutOfMemoryError", *settings.java_options]
    # The image's pinned plugins replace older ones in the volume, also those of an adopted home.
    environment = {"PLUGINS_FORCE_UPGRADE": "true", "TRY_UPGRADE_IF_NO_MARKER": "true"}
    if settings.agent_port not in {None, _AGENT_PORT}:
        # Jenkins tells agents the port that it listens on, which is not the published one.
        java.append(f"-Dhudson.TcpSlaveAgentListener.port={settings.agent_port}")
    if has_casc:
        # Without the second, a missing secret would silently be empty.
        java += ["-Djenkins.install.runSetupWizard=false", "-Dcasc.strict.secret.resolution=true"]
        environment["CASC_JENKINS_CONFIG"] = FOLDER
    environment["JAVA_OPTS"] = " ".join(java)
    environment.update(access.environment)
    return [f"{key}={value}" for key, value in sorted(environment.items())]


def _ports(settings: JenkinsSettings) -> list[docker.ContainerPortArgs]:
    # In the order in which the plugin reads them back: by the port in the container.
    published = [(8080, settings.http_port), (_AGENT_PORT, settings.agent_port)]
    return [
        docker.ContainerPortArgs(internal=internal, external=external, ip=settings.bind_address)
        for internal, external in published
        if external is not None
    ]
