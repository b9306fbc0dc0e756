"""The settings of the Docker host, and of how jobs reach an engine."""

from typing import Annotated, Final, Literal

from pydantic import Field

from .engines import DindSettings, ProxySettings, PruneSettings, TcpSettings, TlsFiles
from .fields import AbsolutePath, DockerHost
from .section import Section

PLUGIN_VARIABLES: Final = (
    "DOCKER_API_VERSION",
    "DOCKER_CA_MATERIAL",
    "DOCKER_CERT_MATERIAL",
    "DOCKER_CERT_PATH",
    "DOCKER_CONTEXT",
    "DOCKER_HOST",
    "DOCKER_KEY_MATERIAL",
    "DOCKER_SSH_OPTS",
    "DOCKER_TLS_VERIFY",
)
"""The variables that decide which engine Pulumi's Docker plugin asks, and how. Some come before the provider's `host`.

Source: pulumi-docker 5.2, provider/provider.go and image.go; terraform-provider-docker, internal/provider/provider.go
and framework_provider.go; FromEnv of Docker's client library. DOCKER_CONFIG is none of them: only the log-ins of
registries are read there, and no `currentContext`.
"""


class DockerSettings(Section):
    """The Docker host, and how Jenkins reaches its engine."""

    host: DockerHost = "unix:///var/run/docker.sock"
    """The engine that Jenkins runs on: `unix:///path` on this machine, `ssh://user@host[:port]`, or `tcp://host:port`
    with `tls`."""

    tls: TlsFiles | None = None
    """For `host: tcp://...`. The certificates for an engine on TCP. Anyone who has the key has root on that engine's
    host."""

    access: Literal["socket", "proxy", "dind", "tcp"] = "socket"
    """How a job reaches a Docker engine. `socket` mounts the host's own socket into Jenkins. `proxy` mounts the socket
    of a proxy, which refuses what a Docker pipeline does not need. `dind` runs an engine in a container beside Jenkins.
    `tcp` uses an engine on another machine."""

    accept_root_on_host: bool = False
    """Must be `true` on a Docker host, with any `access`: anyone who can use a Docker engine can get root on its host
    (CIS Docker Benchmark 5.32 and 5.4), and so can Jenkins and every job that it runs."""

    socket_path: AbsolutePath | None = Field(default=None, examples=["/run/user/1000/docker.sock"])
    """The socket's path on the engine's host. Default: the path in `host`, or /var/run/docker.sock over ssh."""

    socket_group: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = Field(default=None, examples=[998])
    """The number of the group that may use the socket, as a container sees it. Default: read from the socket on the
    engine's host at every run. 0, root's own group, is only used if it is written here (Docker Desktop)."""

    proxy: ProxySettings = Field(default_factory=ProxySettings)
    dind: DindSettings = Field(default_factory=DindSettings)
    tcp: TcpSettings | None = None
    prune: PruneSettings | None = None

    @property
    def is_local(self) -> bool:
        """Whether Jenkins runs on this machine's own engine."""
        return self.host.startswith("unix://")
