"""The settings of what is between jobs and the host's own engine, or stands in its place."""

from typing import Annotated

from pydantic import Field

from .cluster_fields import LocalPath
from .fields import (
    Capability,
    DockerName,
    EngineAddress,
    EngineOption,
    ImageReference,
    SecurityOption,
)
from .section import Section


class ProxySettings(Section):
    """The filtering proxy between Jenkins and the host's engine, for `access: proxy`."""

    image: ImageReference = Field(default="haproxy:3.2.21-alpine", examples=["haproxy:3.2.21-alpine"])
    """The proxy's image: HAProxy 3.0 or newer with Lua (the official images have it), a shell and `wget`. Its rules are
    not in it: they come with this project."""

    container_name: DockerName = Field(default="jenkins-docker-proxy", examples=["jenkins-docker-proxy"])
    """The name of the container, and of the volume with its socket for Jenkins."""

    memory_mib: Annotated[int, Field(ge=64, le=65_536)] = Field(default=128, examples=[128])
    """Memory limit of the container, MiB, without swap. Each open call takes about 0.2 MiB."""


class DindSettings(Section):
    """A Docker engine in a container beside Jenkins, for `access: dind`."""

    image: ImageReference = "docker:28.5.2-dind"
    """The engine's image. It must make its certificates as the official one does (DOCKER_TLS_CERTDIR)."""

    container_name: DockerName = "jenkins-docker"
    """The name of the container and of its network. Its volume `<name>-images` is kept when the stack is destroyed,
    `<name>-certificates` is not. With another name, the engine starts without images; the old volume stays."""

    privileged: bool = True
    """Run it with every capability and device of the host, as its image expects. `false` gives it only `capabilities`
    and `securityOptions`: enough for builds, and still no sandbox."""

    capabilities: tuple[Capability, ...] = ("SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE")
    """For `privileged: false`: capabilities besides the 14 that every container has. The default is the least with
    which an engine builds images, runs containers, and runs commands in them (`docker exec`)."""

    security_options: tuple[SecurityOption, ...] = ("seccomp=unconfined", "apparmor=unconfined")
    """For `privileged: false`: the confinement that is removed. The default lets it create keyrings and mounts for its
    containers."""

    options: tuple[EngineOption, ...] = Field(default=(), examples=[["--registry-mirror=https://mirror.example.org"]])
    """Further options of the engine (`dockerd --help`), one each."""

    memory_mib: Annotated[int, Field(ge=256, le=4_194_304)] = 4096
    """Memory limit of the engine with all builds and containers in it, MiB, without swap."""

    start_timeout_seconds: Annotated[int, Field(ge=10, le=3600)] = 120
    """How long an update waits for the engine to be ready, seconds."""


class PruneSettings(Section):
    """Removes, every hour, what jobs leave on their engine. Never a volume, nor an image with a tag or in use."""

    until_hours: Annotated[int, Field(ge=1, le=87_600)] = 168
    """How old something must be to be removed, hours: stopped containers and images without a tag since they were made,
    build cache since its last use. Containers with a label `pulumi-container-ci/project` stay."""

    keep_gib: Annotated[int, Field(ge=1, le=65_536)] = 20
    """How much of the build cache is kept, however old, GiB."""

    image: ImageReference = "docker:28.5.2-cli"
    """An image with the docker client, a shell and `test`."""

    container_name: DockerName = "jenkins-docker-prune"
    """The name of its container."""


class TlsFiles(Section):
    """The certificates for an engine on TCP. Anyone who has the key has root on that engine's host."""

    ca_file: LocalPath = Field(examples=["docker/ca.pem"])
    """A PEM file with the authority that signed the engine's certificate."""

    certificate_file: LocalPath = Field(examples=["docker/cert.pem"])
    """A PEM file with the client's certificate, signed by the engine's own authority."""

    key_file: LocalPath | None = Field(default=None, examples=["docker/key.pem"])
    """A PEM file with the key of that certificate. Only its owner may read it. Default: a secret of the stack,
    `ci:dockerTlsKey` for `ci:docker.tls` and `ci:tcpTlsKey` for `ci:docker.tcp`."""


class TcpSettings(TlsFiles):
    """A Docker engine on another machine, for `access: tcp`. It must ask its clients for certificates."""

    host: EngineAddress = Field(examples=["tcp://builder.example.org:2376"])
    """The engine's address. Its name or IP address must be in the engine's certificate."""
