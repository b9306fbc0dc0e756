"""An engine of the stack's own beside Jenkins: the container that it runs in, its network, volumes and certificates."""

from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_docker as docker

from components.docker.container import HOME, LOG_OPTIONS, container_labels, duration, network_labels, volume_labels
from components.settings.engines import DindSettings

ALIAS: Final = "docker"
"""The engine's name in the network. The official image puts it into the server's certificate by itself."""

PORT: Final = 2376
"""Where it listens for TLS. Source: docker-library/docker, dockerd-entrypoint.sh."""

CLIENT_CERTIFICATES: Final = "/certs/client"
"""Where the image puts what a client needs: ca.pem, cert.pem, and key.pem, which any user may read. The authority's own
key is beside it, in the container's own files, and Jenkins never sees it."""

_STORAGE: Final = "/var/lib/docker"

WRITABLE_GROUPS: Final = r"""
awk '$3 ~ /^cgroup/ || $2 == "/sys/fs/cgroup" { print $2 }' /proc/mounts |
    while read -r mounted; do mount -o remount,bind,rw "$mounted"; done
exec dockerd-entrypoint.sh "$@"
"""
"""Run before the image's own entry point where the container is not privileged: an engine makes control groups for its
containers, within its own, and only a privileged container has them writable from the start."""

_SHUTDOWN_SECONDS: Final = 15
_STOP_SECONDS: Final = 30
"""When the engine ends, its containers get the first number of seconds; it must not be killed meanwhile."""

_HEALTHY: Final = (
    f"DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH={CLIENT_CERTIFICATES} docker --host tcp://localhost:{PORT} version"
)
"""By the way that Jenkins goes, so that a healthy engine is one with certificates that fit."""


@dataclass(frozen=True, kw_only=True)
class EngineArgs:
    """What an engine is made from."""

    settings: DindSettings
    home: pulumi.Input[str]
    """Jenkins' home volume. The engine has it at the same path, so that `docker run -v` of a workspace finds it."""


class Engine(pulumi.ComponentResource):
    """A Docker engine in a container, which listens by TLS in a network of its own and is published nowhere."""

    container: pulumi.Output[str]
    network: pulumi.Output[str]
    certificates: pulumi.Output[str]
    """Name of the volume with the client's certificates."""

    storage: pulumi.Output[str]
    """Name of the volume with images and caches, which outlives the stack."""

    running: docker.Container
    """Is there once the engine is healthy."""

    def __init__(self, name: str, args: EngineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register network, volumes and container under `name`."""
        settings = args.settings
        super().__init__("ci:docker:Engine", name, {"privileged": settings.privileged}, opts)
        network = docker.Network(
            f"{name}-network",
            name=settings.container_name,
            driver="bridge",
            labels=network_labels(),
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        storage = docker.Volume(
            f"{name}-storage",
            name=volume_of(settings, "images"),
            labels=volume_labels(),
            # Images that jobs built and pushed nowhere are only here.
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True, ignore_changes=["labels"]),
        )
        certificates = docker.Volume(
            f"{name}-certificates",
            name=volume_of(settings, "certificates"),
            labels=volume_labels(),
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        image = docker.RemoteImage(
            f"{name}-image", name=settings.image, keep_locally=True, opts=pulumi.ResourceOptions(parent=self)
        )
        self.running = docker.Container(
            f"{name}-container",
            name=settings.container_name,
            image=image.image_id,
            **_privileges(settings),
            # Never empty: without a command the plugin keeps the one that it has read, and an option would never go.
            command=[f"--shutdown-timeout={_SHUTDOWN_SECONDS}", *settings.options],
            envs=["DOCKER_TLS_CERTDIR=/certs"],
            volumes=[
                docker.ContainerVolumeArgs(volume_name=storage.name, container_path=_STORAGE, read_only=False),
                docker.ContainerVolumeArgs(
                    volume_name=certificates.name, container_path=CLIENT_CERTIFICATES, read_only=False
                ),
                docker.ContainerVolumeArgs(volume_name=args.home, container_path=HOME, read_only=False),
            ],
            networks_advanced=[docker.ContainerNetworksAdvancedArgs(name=network.name, aliases=[ALIAS])],
            restart="unless-stopped",
            must_run=True,
            memory=settings.memory_mib,
            memory_swap=settings.memory_mib,  # absent, the engine fills in the double, and a change is seen
            log_driver="json-file",
            log_opts=LOG_OPTIONS,
            healthcheck=docker.ContainerHealthcheckArgs(
                tests=["CMD-SHELL", _HEALTHY],
                interval="5s",
                timeout="10s",
                retries=6,
                start_period=duration(settings.start_timeout_seconds),
            ),
            wait=True,
            wait_timeout=settings.start_timeout_seconds,
            stop_timeout=_STOP_SECONDS,
            destroy_grace_seconds=_STOP_SECONDS,
            labels=container_labels(),
            opts=pulumi.ResourceOptions(
                parent=self,
                delete_before_replace=True,
                replace_on_changes=["healthcheck"],  # the plugin would report an update and change nothing
            ),
        )
        self.container, self.network = self.running.name, network.name
        self.certificates, self.storage = certificates.name, storage.name
        self.register_outputs({"container": self.container})


def volume_of(settings: DindSettings, what: str) -> str:
    """Give the name of the engine's volume for `images` or `certificates`."""
    return f"{settings.container_name}-{what}"


def _privileges(settings: DindSettings) -> dict[str, Any]:
    if settings.privileged:
        return {"privileged": True}
    return {
        "privileged": False,
        # By their whole names: so newer engines give them back, and by the short ones a change would be seen.
        "capabilities": docker.ContainerCapabilitiesArgs(
            adds=[f"CAP_{name}" for name in sorted(settings.capabilities)]
        ),
        "security_opts": sorted(settings.security_options),
        "entrypoints": ["sh", "-ec", WRITABLE_GROUPS, "sh"],
    }
