"""The filtering proxy: the one container that has the engine's socket, so that Jenkins needs none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_docker as docker

from ..proxy import haproxy
from ..settings.engines import ProxySettings
from .access.host_socket import SOCKET_IN_CONTAINER, Socket
from .container import UNPRIVILEGED, own_labels, service
from .image import pinned

FOLDER: Final = "/run/ci-docker"
"""Where the volume with the proxy's socket is, in the proxy and in Jenkins. Below no folder that an image has."""

SOCKET: Final = f"{FOLDER}/docker.sock"

_USER: Final = 99
"""The image's user `haproxy`. Source: docker-library/haproxy, its Dockerfiles."""

_CALLERS: Final = 1000
"""The group of Jenkins' user, and of the containers that a job runs `inside`: those who may use the proxy's socket."""

_FOLDER: Final = "/tmp"  # noqa: S108 - in the container, whose /tmp is nobody else's
_CONFIGURATION: Final = "haproxy.cfg"


def _variable(file: str) -> str:
    return file.upper().replace(".", "_")


_START: Final = (
    "".join(f'printf "%s\\n" "${_variable(file)}" > {_FOLDER}/{file} && ' for file in (_CONFIGURATION, *haproxy.RULES))
    + f"exec haproxy -W -db -f {_FOLDER}/{_CONFIGURATION}"
)
"""Nothing can be put into a container whose own files are read-only, so the rules come in variables."""

_STOP_SECONDS: Final = 5


@dataclass(frozen=True, kw_only=True)
class ProxyArgs:
    """What a proxy is made from."""

    settings: ProxySettings
    engine: Socket
    """The engine's own socket."""

    images: Sequence[str]
    """What the stack is deployed from. Jobs can't put another image under these names; `+` lets them pull one."""

    ports: Sequence[int]
    """The host's ports at which the stack listens. Jobs can't publish them."""

    prunes: Mapping[str, Mapping[str, str]]
    """The calls of the stack's pruner: by path, the keys of its query."""


class Proxy(pulumi.ComponentResource):
    """HAProxy between Jenkins and the engine: no network, no capability, nothing that it can write but its socket.

    Its socket is in a volume that is a tmpfs, so that it needs no port, which other containers could reach too, and no
    network, which takes the plugin two seconds at every update.
    """

    running: docker.Container
    """Is there once the proxy is healthy, and so reaches the engine."""

    volume: pulumi.Output[str]
    """Name of the volume with its socket."""

    def __init__(self, name: str, args: ProxyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the volume and the container under `name`."""
        super().__init__("ci:docker:Proxy", name, {}, opts)
        settings, mine = args.settings, pulumi.ResourceOptions(parent=self)
        volume = docker.Volume(
            f"{name}-socket",
            name=settings.container_name,
            driver="local",
            driver_opts={
                "type": "tmpfs",
                "device": "tmpfs",
                "o": f"uid={_USER},gid={_CALLERS},mode=0750,size=1m,nosuid,nodev,noexec",
            },
            labels=own_labels(),
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        self.running = docker.Container(
            f"{name}-container",
            name=settings.container_name,
            image=pinned(name, settings.image, mine),
            user=f"{_USER}:{_CALLERS}",
            group_adds=[str(args.engine.group)],
            command=["sh", "-c", _START],
            envs=[
                f"{_variable(file)}={text}"
                for file, text in {_CONFIGURATION: _configuration(args), **haproxy.rules()}.items()
            ],
            volumes=[
                docker.ContainerVolumeArgs(volume_name=volume.name, container_path=FOLDER, read_only=False),
                # To connect is not to write: the engine takes calls through a read-only mount as well.
                docker.ContainerVolumeArgs(
                    host_path=args.engine.path, container_path=SOCKET_IN_CONTAINER, read_only=True
                ),
            ],
            tmpfs={_FOLDER: "size=1m,nosuid,nodev,noexec"},
            read_only=True,
            network_mode="none",
            restart="unless-stopped",
            stop_signal="SIGTERM",  # the image's own lets calls go on, of which some end never
            **UNPRIVILEGED,
            **service(
                parent=self,
                memory_mib=settings.memory_mib,
                # Answered by the engine, so that a healthy proxy is one that reaches it.
                healthy=["CMD", "wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{haproxy.HEALTH_PORT}/"],
                start_seconds=30,
                ready_seconds=60,
                stop_seconds=_STOP_SECONDS,
            ),
        )
        self.volume = volume.name
        self.register_outputs({"container": self.running.name})


def _configuration(args: ProxyArgs) -> str:
    return haproxy.render(
        socket=SOCKET,
        engine=SOCKET_IN_CONTAINER,
        folder=_FOLDER,
        name=args.settings.container_name,
        images=args.images,
        ports=args.ports,
        prunes=args.prunes,
    )
