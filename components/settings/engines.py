"""The settings of the engines that jobs use instead of the host's own: one beside Jenkins, and one elsewhere."""

from typing import Annotated

from pydantic import Field

from components.settings.cluster_fields import LocalPath
from components.settings.fields import (
    Capability,
    DockerName,
    EngineAddress,
    EngineOption,
    ImageReference,
    SecurityOption,
)
from components.settings.section import Section


class DindSettings(Section):
    """An engine of the stack's own in a container beside Jenkins, for `access: dind`."""

    image: ImageReference = Field(
        default="docker:28.5.2-dind",
        description="The engine's image. It must make its certificates as the official one does (DOCKER_TLS_CERTDIR).",
    )
    container_name: DockerName = Field(
        default="jenkins-docker",
        description=(
            "The container's name, and its network's. Its volumes are named after it: `<name>-images` is kept when the "
            "stack is destroyed, `<name>-certificates` is not."
        ),
    )
    privileged: bool = Field(
        default=True,
        description=(
            "Run it with every capability, device and kernel setting of the host, as its image expects. `false` gives "
            "it `capabilities` and `securityOptions` instead: less, enough for builds, and still no sandbox."
        ),
    )
    capabilities: tuple[Capability, ...] = Field(
        default=("SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"),
        description=(
            "For `privileged: false`: what it gets beside the 14 capabilities that every container has. The default is "
            "the least with which an engine builds images, runs containers and commands in them (`docker exec`)."
        ),
    )
    security_options: tuple[SecurityOption, ...] = Field(
        default=("seccomp=unconfined", "apparmor=unconfined"),
        description=(
            "For `privileged: false`: what of the host's confinement is lifted. The default lets it make keyrings and "
            "mounts for its containers."
        ),
    )
    options: tuple[EngineOption, ...] = Field(
        default=(),
        description="Further options of the engine (`dockerd --help`), one each.",
        examples=[["--registry-mirror=https://mirror.example.org"]],
    )
    memory_mib: Annotated[int, Field(ge=256, le=4_194_304)] = Field(
        default=4096, description="Memory limit of the engine with all builds and containers in it, MiB, without swap."
    )
    start_timeout_seconds: Annotated[int, Field(ge=10, le=3600)] = Field(
        default=120, description="How long an update waits for the engine to be ready, seconds."
    )


class TlsFiles(Section):
    """By which certificates an engine on TCP is reached. Whoever has the key is root on that engine's host."""

    ca_file: LocalPath = Field(
        description="A PEM file with the authority that signed the engine's certificate.", examples=["docker/ca.pem"]
    )
    certificate_file: LocalPath = Field(
        description="A PEM file with the client's certificate, which the engine's own authority has signed.",
        examples=["docker/cert.pem"],
    )
    key_file: LocalPath | None = Field(
        default=None,
        description=(
            "A PEM file with the key of that certificate, which nobody but its owner may read. Default: a secret of "
            "the stack, `ci:dockerTlsKey` for `ci:docker.tls` and `ci:tcpTlsKey` for `ci:docker.tcp`."
        ),
        examples=["docker/key.pem"],
    )


class TcpSettings(TlsFiles):
    """An engine on another machine for the jobs, for `access: tcp`. It must ask its clients for certificates."""

    host: EngineAddress = Field(
        description="Where it listens, by a name or address that its certificate has.",
        examples=["tcp://builder.example.org:2376"],
    )
