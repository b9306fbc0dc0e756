"""The settings of image builds on the Kubernetes platform, and of the BuildKit daemon that stays."""

from typing import Annotated, Literal

from pydantic import Field

from .cluster_fields import (
    Archive,
    ArgumentName,
    BranchPattern,
    BuildName,
    Destination,
    GitRepository,
    InlineText,
    InsidePath,
    KnownHosts,
    LabelKey,
    LocalPath,
    Network,
    ObjectName,
    OneLine,
    PlainCron,
    Platform,
    Stage,
    Word,
)
from .fields import GitRevision
from .pod_security import Builder
from .secret_fields import SecretName
from .section import OneOf, Section


class GitContext(Section):
    """A context out of a git repository."""

    repository: GitRepository = Field(examples=["https://git.example.org/team/website.git"])
    """The repository's https:// or ssh:// address."""

    ref: GitRevision = Field(default="main", examples=["v1.2.3"])
    """A branch, a tag or a commit's 40 digits. A branch is read when the build runs. New commits on it do not start a
    build: name the commit, or use `onPush`, `schedule` or `trigger`."""

    directory: InsidePath | None = Field(default=None, examples=["images/website"])
    """The folder in the repository that is the context."""

    credentials: Literal["gitToken", "gitSshKey"] | None = None
    """The secret that the repository is read with: `ci:gitToken` (https) or `ci:gitSshKey` (ssh)."""

    user: Word = "oauth2"
    """The user that the token belongs to, where the git server asks for one."""

    known_hosts: KnownHosts | None = Field(
        default=None, examples=["git.example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI..."]
    )
    """For ssh: the host's lines as `ssh-keyscan HOST` prints them, checked with whoever runs the host."""


class VolumeContext(Section):
    """A context on a volume in the builds' namespace."""

    claim: ObjectName = Field(examples=["sources"])
    """The PersistentVolumeClaim."""

    path: InsidePath | None = Field(default=None, examples=["website"])
    """The folder on it."""


class ContextSettings(OneOf):
    """Where a build's files come from: exactly one of these."""

    git: GitContext | None = None

    archive: Archive | None = Field(default=None, examples=["https://files.example.org/website-1.2.3.tar.gz"])
    """A packed context (.tar.gz) over https or in object storage (s3://, gs://; credentials in the secret
    `ci:storageCredentials`). Other content at the same address does not start a build: give each version its own."""

    directory: LocalPath | None = Field(default=None, examples=["images/website"])
    """A folder, relative to this project or absolute, up to 1 MiB when packed. What its .dockerignore names is left
    out."""

    inline: dict[InsidePath, InlineText] | None = Field(
        default=None, min_length=1, examples=[{"Dockerfile": "FROM alpine:3.22\n"}]
    )
    """The files themselves: path and text."""

    volume: VolumeContext | None = None


class CacheSettings(Section):
    """Layers kept in the stack's registry, so that an unchanged step of a Dockerfile is not run again."""

    enabled: bool = True
    """Use layers from the registry, and keep new ones there."""

    hours: Annotated[int, Field(ge=1, le=87_600)] = 336
    """How old a layer may be to be used, hours. 336 is kaniko's own default, two weeks. BuildKit has no such limit."""


class BuildResources(Section):
    """What one build may use."""

    cpu_millicores: Annotated[int, Field(ge=10, le=256_000)] = 1000
    """Limit, thousandths of a processor. A tenth of it is reserved."""

    memory_mib: Annotated[int, Field(ge=64, le=4_194_304)] = 1024
    """Memory, MiB: reserved, and the limit."""

    disk_mib: Annotated[int, Field(ge=256, le=4_194_304)] = 8192
    """Limit of the node's own disk, MiB. The unpacked image and the context must fit in."""


class OnPushSettings(Section):
    """Build the commits that are pushed to a branch, without an update of the stack."""

    branch: BranchPattern = Field(default="main", examples=["release/*"])
    """The branch, or a pattern in which `*` is any text. An image gets two tags: the branch's name, and the commit's
    first 12 digits. If the name can't be a tag, or looks like a commit's tag, it is changed, and `..` and 12 digits of
    its SHA-256 are added."""

    every_seconds: Annotated[int, Field(ge=5, le=86_400)] = 60
    """How often the repository is asked for its branches, seconds."""


class BuildSettings(Section):
    """One image that is built in the cluster and pushed to the registry."""

    name: BuildName = Field(examples=["website"])
    """The build's name, and its key in the output `images`."""

    builder: Builder = Field(default="kaniko", examples=["buildah"])
    """What builds it. `kaniko` and `buildah` run as root in a container with few capabilities, which Pod Security
    `baseline` accepts. `buildkit` does not run as root, but needs `ci:kubernetes.buildsPodSecurity: privileged` for its
    mounts. With `ci:buildkit` its pod is only a client, which every level accepts."""

    context: ContextSettings = Field(
        examples=[{"directory": "images/website"}],
    )
    dockerfile: InsidePath = Field(default="Dockerfile", examples=["ci/Dockerfile"])
    """The Dockerfile's path in the context."""

    destinations: tuple[Destination, ...] = Field(default=(), max_length=20, examples=[["website:1.2.3"]])
    """What it is pushed as: `repository:tag` in this stack's registry, or `host/repository:tag` elsewhere with
    credentials from `ci:dockerConfig`. The first is the one in the output `images`. Default: `<name>:latest`."""

    secrets: tuple[SecretName, ...] = Field(default=(), max_length=50, examples=[["npmToken"]])
    """The secrets of `ci:buildSecrets` that `RUN --mount=type=secret,id=NAME` in its Dockerfile may read, as
    /run/secrets/NAME. A new value does not start a build. Not with Kaniko, whose steps could read all
    of them."""

    args: dict[ArgumentName, OneLine] = Field(default_factory=dict, examples=[{"VERSION": "1.2.3"}])
    """Build arguments. They stay readable in the image's history: use `secrets` for secrets."""

    target: Stage | None = Field(default=None, examples=["runtime"])
    """The stage to stop at."""

    labels: dict[LabelKey, OneLine] = Field(
        default_factory=dict, examples=[{"org.opencontainers.image.source": "https://git.example.org/team/website"}]
    )
    """Labels of the image."""

    platform: Platform | None = Field(default=None, examples=["linux/amd64"])
    """The platform; the build then runs on a node of its architecture. Default: the node's own."""

    cache: CacheSettings = Field(default_factory=CacheSettings)
    resources: BuildResources = Field(default_factory=BuildResources)

    deadline_seconds: Annotated[int, Field(ge=30, le=86_400)] = 1800
    """How long the build may take with all its retries, seconds. Waiting for a node counts, waiting in the queue of
    `ci:kubernetes.parallelBuilds` does not."""

    retries: Annotated[int, Field(ge=0, le=10)] = Field(default=0, examples=[1])
    """How often a build that failed is tried again. One whose node is drained starts again in any case."""

    schedule: PlainCron | None = Field(default=None, examples=["17 2 * * *"])
    """When to build again without an update, in the cluster's time zone. The tag moves; the output `images` keeps the
    image of the last update."""

    on_push: OnPushSettings | None = None

    trigger: OneLine = Field(default="", examples=["2026-01-31, new base image"])
    """Any text. Changing it builds again."""


class BuildkitSettings(Section):
    """A BuildKit daemon that keeps its cache on a volume. Builds with `builder: buildkit` are then its clients."""

    replicas: Annotated[int, Field(ge=1, le=100)] = 1
    """How many daemons, each with a volume of its own. A build always goes to the same one. If the number changes, some
    builds go to another daemon, without their cache."""

    storage_gib: Annotated[int, Field(ge=2, le=65_536)] = 20
    """Size of each volume, GiB. BuildKit itself keeps its cache below three quarters of it. It can grow later where the
    storage class lets it, and never shrink."""

    storage_class: ObjectName | None = Field(default=None, examples=["fast"])
    """The volumes' storage class. Default: the cluster's own."""

    cpu_millicores: Annotated[int, Field(ge=10, le=256_000)] = 2000
    """Limit of each daemon with all the steps that it runs, thousandths of a processor."""

    memory_mib: Annotated[int, Field(ge=256, le=4_194_304)] = 2048
    """Memory limit of each daemon with all the steps that it runs, MiB."""

    allow_from: tuple[Network, ...] = Field(default=(), examples=[["10.0.0.0/16"]])
    """Where connections to the daemons may come from, besides the builds' namespace. They need a client's certificate
    too."""
