"""What every way to an engine has in common: what it asks of the host, and what it gives to the Jenkins container."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pulumi
import pulumi_docker as docker

from components.docker.owned import Owned
from components.settings import Problem, Settings


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What stands already when a way to an engine is declared."""

    home: pulumi.Input[str]
    """Name of the volume that holds Jenkins' home. An engine of the stack's own mounts it where Jenkins has it, since a
    job asks its engine for folders of its workspace by their paths."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """What the Jenkins container needs so that its docker client reaches the engine of its jobs.

    Everything is added to what the container has anyway; a path or a name must not be in two places.
    """

    engine: str
    """The address of the jobs' engine, for people: `unix:///var/run/docker.sock`, `tcp://docker:2376`."""

    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables for the docker client, such as DOCKER_HOST. Never a secret: anyone may read them from the engine."""

    groups: Sequence[str] = ()
    """Numeric groups that Jenkins' user is in."""

    volumes: Sequence[docker.ContainerVolumeArgs] = ()
    """Mounts, after those that Jenkins has anyway."""

    files: Mapping[str, docker.ContainerUploadArgs] = field(default_factory=dict)
    """Files to put into the container before it starts, by absolute path. Uid 1000 must be able to read each, and a
    secret one's content is a secret Output."""

    networks: Sequence[docker.ContainerNetworksAdvancedArgs] = ()
    """Networks that Jenkins is in, instead of the host's default bridge; none leaves it there. Each costs 2 s."""

    after: Sequence[pulumi.Resource] = ()
    """What must be up, and healthy, before Jenkins starts."""

    containers: Mapping[str, pulumi.Output[str]] = field(default_factory=dict)
    """Names of the containers that belong to it, by what they are (`engine`). `make status` looks after them."""

    volumes_kept: Sequence[pulumi.Output[str]] = ()
    """Names of its volumes that outlive the stack. `make down` tells of them."""

    next_steps: Sequence[str] = ()
    """What whoever deploys it must know: sentences for the output `next`."""


class Mode(Protocol):
    """A module of this package: one value of `ci:docker.access`."""

    def makes(self, settings: Settings, /) -> Sequence[Owned]:
        """Give what it makes on the host under a name of its own, so that the survey can refuse another's."""

    def survey(self, settings: Settings, /) -> Iterator[Problem]:
        """Give what stands in the way, before anything is made. Changes nothing; may ask the network."""

    def declare(self, settings: Settings, around: Surroundings, opts: pulumi.ResourceOptions, /) -> Access:
        """Register its resources with these options, which hold the provider; give what Jenkins needs."""
