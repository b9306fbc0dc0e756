"""A Docker engine in a container beside Jenkins, with its network, volumes and certificates."""

from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_docker as docker

from ..settings.engines import DindSettings
from .container import HOME, own_labels, service
from .image import pinned

ALIAS: Final = "docker"
"""The engine's name in the network. The official image puts it into the server's certificate."""

PORT: Final = 2376
"""Where it listens for TLS. Source: docker-library/docker, dockerd-entrypoint.sh."""

CLIENT_CERTIFICATES: Final = "/certs/client"
"""Where the image puts what a client needs: ca.pem, cert.pem, and key.pem, which any user may read. The authority's own
key stays in the container's own files. Jenkins can't read those; a job can, by a mount in that engine."""

_STORAGE: Final = "/var/lib/docker"

WRITABLE_GROUPS: Final = r"""
awk '$3 ~ /^cgroup/ || $2 == "/sys/fs/cgroup" { print $2 }' /proc/mounts |
    while read -r mounted; do mount -o remount,bind,rw "$mounted"; done
exec dockerd-entrypoint.sh "$@"
"""
"""Runs before the image's own entry point if the container is not privileged. An engine makes control groups for its
containers inside of its own, and only in a privileged container are those writable from the start."""

_UNMASKED: Final = "systempaths=unconfined"
_UNMASK: Final = r"""
awk '$2 ~ "^/proc/|^/sys/firmware" { print $2 }' /proc/mounts | sort -r |
    while read -r masked; do umount "$masked"; done
"""
"""Does what that option asks for. The plugin would do it too, but never reads the option back, and so would replace the
engine at each update."""

_SHUTDOWN_SECONDS: Final = 15
_STOP_SECONDS: Final = 30
"""When the engine stops, its containers get the first number; the engine must not be killed before that."""

_HEALTHY: Final = (
    f"(cd {CLIENT_CERTIFICATES} && test -s ca.pem && test -s cert.pem && test -s key.pem) || {{ kill 1; exit 1; }}; "
    f"DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH={CLIENT_CERTIFICATES} docker --host tcp://localhost:{PORT} version"
)
"""Asks as Jenkins does, so that an engine is healthy only if its certificates fit. An engine whose certificates were
removed is ended: its container then starts again and makes new ones. While they are made process 1 is a shell, which
ignores the signal."""


@dataclass(frozen=True, kw_only=True)
class EngineArgs:
    """The inputs of an engine."""

    settings: DindSettings
    home: pulumi.Input[str]
    """Jenkins' home volume. The engine mounts it at the same path, so that `docker run -v` of a workspace works."""


class Engine(pulumi.ComponentResource):
    """A Docker engine in a container. It listens by TLS in a network of its own, and publishes no port."""

    container: pulumi.Output[str]
    network: pulumi.Output[str]
    certificates: pulumi.Output[str]
    """Name of the volume with the client's certificates."""

    storage: pulumi.Output[str]
    """Name of the volume with images and caches. It outlives the stack."""

    running: docker.Container
    """Ready once the engine is healthy."""

    def __init__(self, name: str, args: EngineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register network, volumes and container under `name`."""
        settings = args.settings
        super().__init__("ci:docker:Engine", name, {"privileged": settings.privileged}, opts)
        network = docker.Network(
            f"{name}-network",
            name=settings.container_name,
            driver="bridge",
            labels=own_labels(),
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        storage = docker.Volume(
            f"{name}-storage",
            name=volume_of(settings, "images"),
            labels=own_labels(),
            # It has the only copy of images that jobs built and did not push.
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True, ignore_changes=["labels"]),
        )
        certificates = docker.Volume(
            f"{name}-certificates",
            name=volume_of(settings, "certificates"),
            labels=own_labels(),
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        self.running = docker.Container(
            f"{name}-container",
            name=settings.container_name,
            image=pinned(name, settings.image, pulumi.ResourceOptions(parent=self)),
            **_privileges(settings),
            # Never empty: without a command the plugin keeps the one that it has read, and a removed option would stay.
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
            **service(
                parent=self,
                memory_mib=settings.memory_mib,
                healthy=["CMD-SHELL", _HEALTHY],
                start_seconds=120,  # not the setting, of which a new value would replace the engine
                ready_seconds=settings.start_timeout_seconds,
                stop_seconds=_STOP_SECONDS,
            ),
        )
        self.container, self.network = self.running.name, network.name
        self.certificates, self.storage = certificates.name, storage.name
        self.register_outputs({"container": self.container})


def volume_of(settings: DindSettings, what: str) -> str:
    """Return the name of the engine's volume for `images` or `certificates`."""
    return f"{settings.container_name}-{what}"


def _privileges(settings: DindSettings) -> dict[str, Any]:
    if settings.privileged:
        return {"privileged": True}
    options = settings.security_options
    return {
        "privileged": False,
        # By their full names, as newer engines return them. With the short ones, each preview would show a change.
        "capabilities": docker.ContainerCapabilitiesArgs(
            adds=[f"CAP_{name}" for name in sorted(settings.capabilities)]
        ),
        "security_opts": sorted({*options} - {_UNMASKED}),
        "entrypoints": ["sh", "-ec", (_UNMASK if _UNMASKED in options else "") + WRITABLE_GROUPS, "sh"],
    }
