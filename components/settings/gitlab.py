"""The settings of a GitLab Runner."""

from typing import Annotated, Final, Literal

from pydantic import Field

from .cluster_fields import LocalPath
from .fields import DockerName, ImageReference, ServerAddress
from .section import Section

HELPER_CPU_MILLICORES: Final = 500
HELPER_MEMORY_MIB: Final = 256
"""Limits of the runner's helper in each job's pod, which clones, and moves caches and artifacts."""


class RunnerJobs(Section):
    """The default image and the limits of each job."""

    image: ImageReference = "alpine:3.22"
    """The image of a job that names none."""

    cpu_millicores: Annotated[int, Field(ge=10, le=256_000)] = 1000
    """Limit, thousandths of a processor. In a cluster a tenth of it is reserved."""

    memory_mib: Annotated[int, Field(ge=64, le=4_194_304)] = 2048
    """Memory limit, MiB, without swap. In a cluster all of it is reserved."""

    disk_mib: Annotated[int, Field(ge=256, le=4_194_304)] = 8192
    """In a cluster: limit of the node's own disk, MiB. An unpacked image and the sources must fit in."""


class GitlabRunnerSettings(Section):
    """A GitLab Runner. On a Docker host it replaces Jenkins; in a cluster it runs beside the registry."""

    url: ServerAddress = Field(examples=["https://gitlab.example.org"])
    """GitLab's address."""

    plain_http: bool = False
    """Must be `true` for an `http://` address: the token and all sources cross the network in clear."""

    ca_file: LocalPath | None = Field(default=None, examples=["company-ca.pem"])
    """A PEM file of the authorities that signed GitLab's certificate, if they are not public."""

    image: ImageReference = "gitlab/gitlab-runner:alpine-v19.3.0"
    """The runner's image."""

    helper_image: ImageReference | None = Field(
        default=None, examples=["registry.example.org/ci/gitlab-runner-helper:x86_64-v19.3.0"]
    )
    """The image that clones the repository and moves artifacts for each job. Default: that of the runner's release."""

    container_name: DockerName = "gitlab-runner"
    """On a Docker host: the container's name."""

    engine: Literal["socket", "dind", "none"] = "socket"
    """On a Docker host: how a job reaches a Docker engine. `socket` mounts the host's into every job. `dind` lets a job
    start an engine, as a privileged service of the image `docker:...-dind`. `none` allows neither. The runner itself
    always has the host's socket."""

    concurrency: Annotated[int, Field(ge=1, le=500)] = 2
    """Jobs that run at the same time."""

    check_interval_seconds: Annotated[int, Field(ge=1, le=3600)] = 3
    """How often GitLab is asked for a job, seconds. 3 is the runner's own default."""

    cpu_millicores: Annotated[int, Field(ge=10, le=256_000)] = 500
    """Limit of the runner itself, thousandths of a processor."""

    memory_mib: Annotated[int, Field(ge=64, le=1_048_576)] = 256
    """Memory limit of the runner itself, MiB, without swap."""

    stop_timeout_seconds: Annotated[int, Field(ge=1, le=86_400)] = 300
    """How long running jobs may take to end when the runner is stopped or replaced, seconds. It starts no new ones
    meanwhile. Jobs that still run then fail."""

    jobs: RunnerJobs = Field(default_factory=RunnerJobs)
