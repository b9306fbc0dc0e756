"""The interface of an access mode: what it needs on the host, and what it gives to the Jenkins container."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pulumi
import pulumi_docker as docker

from ...settings import Problem, Settings


@dataclass(frozen=True, kw_only=True)
class EngineAccess:
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
    """Resources that must be up and healthy before Jenkins starts."""

    sidecars: Mapping[str, pulumi.Output[str]] = field(default_factory=dict)
    """Names of its containers beside Jenkins, by role (`engine`, `proxy`). `make status` checks them."""

    retained_volumes: Sequence[pulumi.Output[str]] = ()
    """Names of its volumes that outlive the stack. `make down` lists them."""

    next_steps: Sequence[str] = ()
    """Sentences for the output `next`."""


class AccessMode(Protocol):
    """A module of this package: one value of `ci:docker.access`."""

    def preflight(self, settings: Settings, /) -> Iterator[Problem]:
        """Return the problems that block the deployment. Changes nothing; may use the network."""

    def declare(
        self, name: str, settings: Settings, home: pulumi.Input[str], opts: pulumi.ResourceOptions, /
    ) -> EngineAccess:
        """Register its resources and return what Jenkins needs.

        name: of the CI that they belong to; their names begin with it. home: name of the volume with Jenkins' home. An
        engine in a container mounts it at the same path, since jobs mount folders of their workspace by path. opts:
        hold the parent and the provider.
        """
