"""Every setting: unit, range, default and what it is for. docs/reference/settings.md is made from this module.

The Docker platform's are here; the other platform's are in `kubernetes` and `builds`.
"""

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from components.settings.builds import BuildSettings
from components.settings.cluster_fields import PrivateKey
from components.settings.engines import DindSettings, TcpSettings, TlsFiles
from components.settings.fields import (
    AbsolutePath,
    Address,
    Cron,
    DockerHost,
    DockerName,
    GitRef,
    ImageReference,
    JavaOption,
    JobName,
    NewPassword,
    PipelineText,
    Plugin,
    Port,
    RelativePath,
    Repository,
    Token,
    UserName,
)
from components.settings.kubernetes import KubernetesSettings, RegistrySettings
from components.settings.proxy import ProxySettings
from components.settings.section import Section


class DockerSettings(Section):
    """The Docker host, and how Jenkins reaches its engine."""

    host: DockerHost = Field(
        default="unix:///var/run/docker.sock",
        description=(
            "Where the engine listens that Jenkins runs on: `unix:///path` on this machine, `ssh://user@host[:port]`, "
            "or `tcp://host:port` with `tls`."
        ),
        examples=["unix:///var/run/docker.sock"],
    )
    tls: TlsFiles | None = Field(default=None, description=f"For `host: tcp://...`. {TlsFiles.__doc__}")
    access: Literal["socket", "proxy", "dind", "tcp"] = Field(
        default="socket",
        description=(
            "How a job reaches an engine. `socket` mounts the host engine's own socket into the container. `proxy` "
            "gives Jenkins the socket of a proxy instead, which refuses what a Docker pipeline does not need. `dind` "
            "runs an engine of its own in a container beside Jenkins. `tcp` uses one on another machine."
        ),
    )
    accept_root_on_host: bool = Field(
        default=False,
        description=(
            "Must be `true`, whatever the access: whoever can use an engine can start a container that is root on its "
            "host (CIS Docker Benchmark 5.32), or break out of one that is privileged (5.4), and with it Jenkins and "
            "every job that Jenkins runs."
        ),
    )
    socket_path: AbsolutePath | None = Field(
        default=None,
        description=(
            "The socket's path on the engine's host. Default: the path in `host`, or /var/run/docker.sock over ssh."
        ),
        examples=["/run/user/1000/docker.sock"],
    )
    socket_group: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = Field(
        default=None,
        description=(
            "The numeric group that may use the socket, as a container sees it. Default: read from the socket at every "
            "run, on the engine's host. 0 is root's group and is taken only when it is written here (Docker Desktop)."
        ),
        examples=[998],
    )
    proxy: ProxySettings = Field(default_factory=ProxySettings, description=ProxySettings.__doc__)
    dind: DindSettings = Field(default_factory=DindSettings, description=DindSettings.__doc__)
    tcp: TcpSettings | None = Field(default=None, description=TcpSettings.__doc__)

    @property
    def is_local(self) -> bool:
        """Whether the engine that Jenkins runs on is this machine's."""
        return self.host.startswith("unix://")


class JenkinsSettings(Section):
    """The Jenkins controller: image, ports, volume, limits and first set-up."""

    image: ImageReference | None = Field(
        default=None,
        description=(
            "A ready controller image. It needs the plugins of components/jenkins/image/plugins.txt for `setup: casc`, "
            "and a docker client unless `dockerClient: host`. Default: one built on the engine's host from `baseImage`."
        ),
        examples=["registry.example.org/ci/jenkins:2.568.2-1"],
    )
    base_image: ImageReference = Field(
        default="jenkins/jenkins:2.568.2-lts-jdk21",
        description="What the built image starts from. plugins.txt is pinned to fit this release.",
        examples=["jenkins/jenkins:2.568.2-lts-jdk21"],
    )
    docker_cli_image: ImageReference = Field(
        default="docker:28.5.2-cli",
        description=(
            "Where the built image takes its docker client from. Version 28 speaks to engines from 20.10 (API 1.41) on."
        ),
        examples=["docker:28.5.2-cli"],
    )
    plugins: tuple[Plugin, ...] = Field(
        default=(),
        description="Plugins for the built image beside those of plugins.txt, each `name:version`.",
        examples=[["ansicolor:542.v03d235fee02d"]],
    )
    docker_client: Literal["image", "host"] = Field(
        default="image",
        description="`image`: the docker client is in the image. `host`: the host's own is mounted into the container.",
    )
    docker_client_path: AbsolutePath = Field(
        default="/usr/bin/docker",
        description=(
            "Where the host has its docker client, for `dockerClient: host`. It must run on the image's libraries."
        ),
        examples=["/usr/bin/docker"],
    )
    container_name: DockerName = Field(
        default="jenkins-server", description="The container's name.", examples=["jenkins-server"]
    )
    home_volume: DockerName = Field(
        default="jenkins_home",
        description=(
            "The volume at /var/jenkins_home. It is kept when the stack is destroyed. Another name here starts with an "
            "empty home and leaves the old volume where it is."
        ),
        examples=["jenkins_home"],
    )
    adopt_home: bool = Field(
        default=False,
        description="Take `homeVolume` over although it was not made by this stack, for example from an older set-up.",
    )
    bind_address: Address = Field(
        default="127.0.0.1",
        description="The host's address on which both ports are published.",
        examples=["127.0.0.1"],
    )
    public: bool = Field(
        default=False, description="Must be `true` for a `bindAddress` that means every interface (0.0.0.0 or ::)."
    )
    http_port: Port = Field(default=8080, description="The host's port of the web interface.", examples=[8080])
    agent_port: Port | None = Field(
        default=50000, description="The host's port for inbound agents; `null` publishes none.", examples=[50000]
    )
    url: Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?/?$")] | None = Field(
        default=None,
        description="The address that people use, if it is not the published one, for example behind a proxy.",
        examples=["https://ci.example.org/"],
    )
    memory_mib: Annotated[int, Field(ge=512, le=1_048_576)] = Field(
        default=2048,
        description="Memory limit of the container, MiB, without swap. The Java heap gets 60 % of it.",
        examples=[2048],
    )
    java_options: tuple[JavaOption, ...] = Field(
        default=(), description="Further options of the Java machine, one each.", examples=[["-Xss2m"]]
    )
    executors: Annotated[int, Field(ge=0, le=64)] = Field(
        default=2,
        description="Jobs that run at the same time on the controller. 0 leaves every job to agents.",
        examples=[2],
    )
    restart: Literal["no", "on-failure", "unless-stopped", "always"] = Field(
        default="on-failure", description="When the engine starts the container again by itself."
    )
    start_timeout_seconds: Annotated[int, Field(ge=30, le=3600)] = Field(
        default=600, description="How long an update waits for the controller to be ready, seconds.", examples=[600]
    )
    stop_timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=60, description="How long the controller may take to stop before it is killed, seconds.", examples=[60]
    )
    log_max_size_mib: Annotated[int, Field(ge=1, le=1024)] = Field(
        default=10, description="Size at which the container's log file is rotated, MiB.", examples=[10]
    )
    log_max_files: Annotated[int, Field(ge=1, le=100)] = Field(
        default=3, description="How many rotated log files are kept.", examples=[3]
    )
    setup: Literal["casc", "wizard"] = Field(
        default="casc",
        description=(
            "`casc`: configuration as code sets up the administrator, security and jobs. `wizard`: Jenkins asks for "
            "the password in secrets/initialAdminPassword on the first visit, and everything else is done by hand."
        ),
    )
    admin_user: UserName = Field(default="admin", description="The administrator's name.", examples=["admin"])
    sample: bool = Field(
        default=True, description="Seed the job `sample`, which builds an image and runs a command in it."
    )


class JobSettings(Section):
    """One pipeline that Jenkins has from the start: inline (`script`), or a Jenkinsfile in a repository."""

    name: JobName = Field(description="The job's name.", examples=["website"])
    description: Annotated[PipelineText, Field(max_length=500)] = Field(
        default="", description="What the job's page says.", examples=["Builds the website's image."]
    )
    script: Annotated[PipelineText, Field(min_length=1)] | None = Field(
        default=None,
        description="The pipeline itself, for a job without a repository.",
        examples=["pipeline { agent any; stages { stage('Build') { steps { sh 'docker version' } } } }"],
    )
    repository: Repository | None = Field(
        default=None,
        description="The https address of the Git repository that holds the Jenkinsfile.",
        examples=["https://git.example.org/team/website.git"],
    )
    branch: GitRef = Field(default="main", description="The branch that is built.", examples=["main"])
    jenkinsfile: RelativePath = Field(
        default="Jenkinsfile", description="The pipeline's path inside the repository.", examples=["ci/Jenkinsfile"]
    )
    credentials: Literal["gitToken"] | None = Field(
        default=None,
        description="`gitToken` clones with the secret `ci:gitToken`. A public repository needs none.",
    )
    schedule: Cron | None = Field(
        default=None, description="When the job starts by itself, as Jenkins writes it.", examples=["H 3 * * *"]
    )
    keep_builds: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=30, description="How many builds' logs and records are kept.", examples=[30]
    )


class Settings(Section):
    """A whole stack's settings. Each field is the key `ci:<name>`."""

    platform: Literal["docker", "kubernetes"] = Field(description="Where the CI runs.", examples=["docker"])
    docker: DockerSettings = Field(default_factory=DockerSettings, description=DockerSettings.__doc__)
    jenkins: JenkinsSettings = Field(default_factory=JenkinsSettings, description=JenkinsSettings.__doc__)
    jobs: tuple[JobSettings, ...] = Field(
        default=(),
        max_length=500,
        description="The pipelines that Jenkins has from the start, beside the sample.",
        examples=[[{"name": "website", "repository": "https://git.example.org/team/website.git"}]],
    )
    kubernetes: KubernetesSettings = Field(default_factory=KubernetesSettings, description=KubernetesSettings.__doc__)
    registry: RegistrySettings = Field(default_factory=RegistrySettings, description=RegistrySettings.__doc__)
    builds: tuple[BuildSettings, ...] = Field(
        default=(),
        max_length=500,
        description="The images that are built in the cluster.",
        examples=[[{"name": "website", "context": {"directory": "images/website"}}]],
    )
    admin_password: NewPassword | None = Field(
        default=None,
        description=(
            "The administrator's password, 12 characters to 72 bytes. A secret: "
            "`pulumi config set --secret ci:adminPassword`. Needed by `setup: casc`."
        ),
    )
    git_token: Token | None = Field(
        default=None,
        description=(
            "A token that may read the private repositories of jobs and builds. A secret: "
            "`pulumi config set --secret ci:gitToken`."
        ),
    )
    git_ssh_key: PrivateKey | None = Field(
        default=None,
        description=(
            "A private key without passphrase that may read the builds' repositories over ssh. A secret: "
            "`pulumi config set --secret ci:gitSshKey < key`."
        ),
    )
    registry_password: NewPassword | None = Field(
        default=None,
        description=(
            "The password of the registry's user, 12 characters to 72 bytes. A secret: "
            "`pulumi config set --secret ci:registryPassword`. Needed on Kubernetes."
        ),
    )
    registry_tls_key: PrivateKey | None = Field(
        default=None,
        description=(
            "The private key of `ci:registry.tls.certificateFile`. A secret: "
            "`pulumi config set --secret ci:registryTlsKey < key.pem`."
        ),
    )
    docker_tls_key: PrivateKey | None = Field(
        default=None,
        description=(
            "The private key of `ci:docker.tls.certificateFile`. A secret: "
            "`pulumi config set --secret ci:dockerTlsKey < key.pem`."
        ),
    )
    tcp_tls_key: PrivateKey | None = Field(
        default=None,
        description=(
            "The private key of `ci:docker.tcp.certificateFile`. A secret: "
            "`pulumi config set --secret ci:tcpTlsKey < key.pem`."
        ),
    )
    mirror_password: Token | None = Field(
        default=None,
        description=(
            "The password of `ci:registry.mirror.user`. A secret: `pulumi config set --secret ci:mirrorPassword`."
        ),
    )
    docker_config: SecretStr | None = Field(
        default=None,
        description=(
            "The logins of other registries that builds pull from and push to, as docker's config.json has them "
            '(`{"auths": ...}`). A secret: `pulumi config set --secret ci:dockerConfig < config.json`.'
        ),
    )
    storage_credentials: SecretStr | None = Field(
        default=None,
        description=(
            "What opens the object storage of packed contexts: an AWS credentials file for s3://, a service account's "
            "JSON for gs://. A secret: `pulumi config set --secret ci:storageCredentials < file`."
        ),
    )

    @property
    def url(self) -> str:
        """The web interface's address as the Docker host sees it, without a slash at the end."""
        host = self.jenkins.bind_address
        if host in {"0.0.0.0", "::"}:  # noqa: S104 - an address to reach it by, not one to listen on
            host = "127.0.0.1"
        return f"http://{f'[{host}]' if ':' in host else host}:{self.jenkins.http_port}"


SECRETS: tuple[str, ...] = (
    "adminPassword",
    "gitToken",
    "gitSshKey",
    "registryPassword",
    "registryTlsKey",
    "dockerTlsKey",
    "tcpTlsKey",
    "mirrorPassword",
    "dockerConfig",
    "storageCredentials",
)
"""The keys that must be set with `--secret`, as typed after `ci:`."""
