"""The settings of the Jenkins controller and of its pipelines."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from .cluster_fields import LocalPath
from .fields import (
    AbsolutePath,
    Address,
    DockerName,
    GitRef,
    ImageReference,
    JavaOption,
    JobName,
    PipelineText,
    Plugin,
    Port,
    RelativePath,
    Repository,
    UserName,
    WebAddress,
)
from .jenkins_cron import JenkinsCron
from .jenkins_cron import check as check_cron
from .section import Section

ON_NOTIFY: Final = "on-notify"
"""The value of `poll` for a job that is polled only after a call of git/notifyCommit."""

Poll = Annotated[str, AfterValidator(lambda value: value if value == ON_NOTIFY else check_cron(value))]


Role = Literal["admin", "developer", "viewer"]


class JenkinsUserSettings(Section):
    """One more account of Jenkins. Its password is the secret `ci:jenkinsPasswords.NAME`, or is generated."""

    name: UserName = Field(examples=["alice"])
    """The account's name, with which its user logs in."""

    role: Role
    """`viewer` reads jobs, builds and logs. `developer` also starts and stops builds, and reads workspaces. `admin` may
    do everything."""


class JenkinsSettings(Section):
    """The Jenkins controller: image, ports, volume, limits and first set-up."""

    image: ImageReference | None = Field(default=None, examples=["registry.example.org/ci/jenkins:2.568.2-1"])
    """A ready controller image. It needs the plugins of components/jenkins/image/plugins.txt for `setup: casc`, and a
    docker client unless `dockerClient: host`. Default: one built on the engine's host from `baseImage`."""

    base_image: ImageReference = "jenkins/jenkins:2.568.2-lts-jdk21"
    """The base of the built image. The pins in plugins.txt are for this release."""

    docker_cli_image: ImageReference = "docker:28.5.2-cli"
    """The image with the docker client of the built image. Version 28 supports engines from 20.10 on."""

    plugins: tuple[Plugin, ...] = Field(default=(), examples=[["ansicolor:542.v03d235fee02d"]])
    """Plugins for the built image besides those of plugins.txt, each `name:version`."""

    docker_client: Literal["image", "host"] = "image"
    """`image`: use the docker client of the image. `host`: mount the host's own into the container."""

    docker_client_path: AbsolutePath = "/usr/bin/docker"
    """The path of the host's docker client, for `dockerClient: host`. It must run with the image's libraries."""

    container_name: DockerName = "jenkins-server"
    """The container's name."""

    home_volume: DockerName = "jenkins_home"
    """The volume at /var/jenkins_home. It is kept when the stack is destroyed, and another stack of the project may
    then use it. With another name, Jenkins starts with an empty home; the old volume stays."""

    adopt_home: bool = False
    """Use `homeVolume` even if no stack of this project made it, for example from an older set-up."""

    bind_address: Address = "127.0.0.1"
    """The host's address on which both ports are published: one IPv4 or IPv6 address, without a zone. One that this
    machine does not have is refused at preview; on a remote host, Docker refuses it when Jenkins starts."""

    public: bool = False
    """Must be `true` if `bindAddress` means every interface: 0.0.0.0 or ::, in any form."""

    http_port: Port = 8080
    """The host's port of the web interface."""

    agent_port: Port | None = 50000
    """The host's port for inbound agents; `null` publishes none."""

    url: WebAddress | None = Field(default=None, examples=["https://ci.example.org/"])
    """The address that people use, if it is not the published one, for example behind a proxy."""

    memory_mib: Annotated[int, Field(ge=512, le=1_048_576)] = 2048
    """Memory limit of the container, MiB, without swap. The Java heap gets 60 % of it."""

    java_options: tuple[JavaOption, ...] = Field(default=(), examples=[["-Xss2m"]])
    """Further options of Java, one each."""

    executors: Annotated[int, Field(ge=0, le=64)] = 2
    """Jobs that run at the same time on the controller or, with `agents`, on each agent. With 0, all jobs run on agents
    that somebody else starts."""

    agents: Annotated[int, Field(ge=0, le=32)] = 0
    """How many agents run the jobs, in containers of their own with `memoryMib` each. They reach the Docker engine; the
    controller does not, and runs no job."""

    restart: Literal["no", "on-failure", "unless-stopped", "always"] = "on-failure"
    """When the engine restarts the container."""

    start_timeout_seconds: Annotated[int, Field(ge=30, le=3600)] = 600
    """How long an update waits for the controller to be ready, seconds."""

    stop_timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    """How long the controller may take to stop before it is killed, seconds."""

    drain_seconds: Annotated[int, Field(ge=0, le=86_400)] = 300
    """How long an update waits for running builds before it replaces or removes a container that they need, seconds; 0
    does not wait. No build starts meanwhile, and pipelines pause before their next step. For `setup: casc`."""

    log_max_size_mib: Annotated[int, Field(ge=1, le=1024)] = 10
    """Size at which the container's log file is rotated, MiB."""

    log_max_files: Annotated[int, Field(ge=1, le=100)] = 3
    """How many rotated log files are kept."""

    setup: Literal["casc", "wizard"] = "casc"
    """`casc`: configuration as code sets the administrator, security and jobs. `wizard`: Jenkins asks for the password
    in secrets/initialAdminPassword on the first visit, and the rest is done by hand. A home that `casc` has set up
    keeps its accounts and jobs, and loses the notify token: note the password (`make password`) before you change to
    `wizard`."""

    admin_user: UserName = "admin"
    """The administrator's name."""

    login: Literal["stack", "configuration"] = "stack"
    """`stack`: the administrator and `users` log in, with passwords of the stack. `configuration`: the file of
    `configuration` must have `jenkins.securityRealm` (activeDirectory, azure, ldap, oic, saml) and
    `jenkins.authorizationStrategy`. The stack then makes no administrator and no users, and promises no longer who may
    log in and do what, only that anonymous users have no rights by that strategy. Its own verbs use an account that can
    do nothing else."""

    users: tuple[JenkinsUserSettings, ...] = Field(default=(), max_length=200)
    """Further accounts, each with a role. One that is removed here is removed from Jenkins. With this list, an account
    that somebody made by hand in Jenkins may do nothing; without it, everyone who can log in is an administrator. A
    ready `image` needs the plugin matrix-auth for it."""

    configuration: LocalPath | None = Field(default=None, examples=["examples/jenkins.yaml"])
    """A YAML file of configuration as code that is merged over the stack's own: mappings are merged, lists appended. It
    may set tools, clouds, credentials and what plugins have under `unclassified`, and use `ci:jenkinsSecrets` as
    `${NAME}`; docs/how-to has the list."""

    sample: bool = True
    """Create the job `sample`, which builds an image and runs a command in it."""


class JobSettings(Section):
    """A pipeline of Jenkins: inline (`script`), or a Jenkinsfile in a repository."""

    name: JobName = Field(examples=["website"])
    """The job's name."""

    description: Annotated[PipelineText, Field(max_length=500)] = Field(
        default="", examples=["Builds the website's image."]
    )
    """The description on the job's page."""

    script: Annotated[PipelineText, Field(min_length=1)] | None = Field(
        default=None, examples=["pipeline { agent any; stages { stage('Build') { steps { sh 'docker version' } } } }"]
    )
    """The pipeline itself, for a job without a repository."""

    repository: Repository | None = Field(default=None, examples=["https://git.example.org/team/website.git"])
    """The https address of the Git repository that holds the Jenkinsfile."""

    branch: GitRef = "main"
    """The branch that is built."""

    jenkinsfile: RelativePath = Field(default="Jenkinsfile", examples=["ci/Jenkinsfile"])
    """The pipeline's path inside the repository."""

    credentials: Literal["gitToken"] | None = None
    """`gitToken` clones with the secret `ci:gitToken`. A public repository needs none."""

    schedule: JenkinsCron | None = Field(default=None, examples=["H 3 * * 1-5"])
    """When the job starts by itself, in Jenkins' syntax."""

    poll: Poll | None = Field(default=None, examples=["H/5 * * * *"])
    """When Jenkins looks for new commits in `repository`, in Jenkins' syntax, and builds them. A call of
    git/notifyCommit makes it look at once; with `on-notify`, it looks only then."""

    multibranch: bool = False
    """Build every branch of `repository` that has the Jenkinsfile, each as a job of its own. Jenkins looks for branches
    and commits every five minutes, and after a call of git/notifyCommit."""

    keep_builds: Annotated[int, Field(ge=1, le=10_000)] = 30
    """How many builds' logs and records are kept."""
