"""All that one run found out: what the page and the charts are made from, and what is committed beside them as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pydantic

from tools.bench.stats import Comparison, Series
from tools.compare.ways import AGAINST

if TYPE_CHECKING:
    from tools.bench.stats import Unit

OF_JOBS: Final = "controller"
"""The role of the container that a way's jobs run in."""
UNITS: dict[str, Unit] = {"seconds": "s", "cpu": "s", "peak": "MiB"}
"""What is measured of each build, and its unit."""


class Part(pydantic.BaseModel):
    """A part of the figures: nothing unknown in it, nothing changed once it is made."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Measured(Part):
    """One step of one context by one way, round by round."""

    seconds: tuple[float, ...]
    cpu: tuple[float, ...]
    peak: tuple[float, ...]

    def of(self, figure: str) -> Series:
        """Give one figure of it."""
        return Series(getattr(self, figure))


class Size(Part):
    """What an image takes."""

    packed: int
    """Its layers and its configuration as a registry keeps and sends them, bytes."""

    unpacked: int
    """Its layers as archives that are not compressed, bytes: about what a disk has to hold."""

    layers: int


class Holder(Part):
    """A container that has a part in a way, with the rights that it was deployed with."""

    role: str
    """OF_JOBS, or what it is to the way: `engine`, `proxy`, the builder."""

    user: str
    """As the engine or the pod has it; empty for root."""

    privileged: bool
    added: tuple[str, ...] = ()
    """Capabilities added to those that every container has."""

    dropped: tuple[str, ...] = ()
    security: tuple[str, ...] = ()
    """Security options, as `seccomp=unconfined`."""

    socket: bool = False
    """Whether the host's engine is mounted into it."""


class RunStep(Part):
    """What a RUN step of a Dockerfile is on this machine, as it sees itself."""

    uid: int
    """Its user on the host: 0 is the host's root."""

    capabilities: tuple[str, ...]
    """Those in force."""

    in_namespace: bool
    """Whether they hold in a user namespace of its own alone, and count for nothing on the host."""

    seccomp: bool
    """Whether its system calls are filtered."""

    no_new_privileges: bool


class Found(Part):
    """What was found out about a way beside its speed."""

    holders: tuple[Holder, ...]
    level: str | None = None
    """The strictest Pod Security level that lets it in; None where there are no pods."""

    step: RunStep
    reads_host: bool
    """Whether what a build is given was enough to read a file of the host that is in no container."""

    said: str
    """What it got to hear, or the file's text."""

    shares_cache: bool
    """Whether the host's own engine, asked to build the same files next, had nothing to do: it gave the same image."""


class Trial(Part):
    """One thing that was tried with the engine of Docker-in-Docker."""

    what: str
    """Ends the sentence "It runs with ...", or "It keeps images with ..."."""

    works: bool
    said: str = ""
    """What it said where it does not work."""


class Nested(Part):
    """What was found out about an engine in a container."""

    outer: str
    """The host engine's storage driver."""

    inner: str
    """The storage driver of the engine in the container, as deployed."""

    ground: str
    """The file system that the inner engine's images lie on."""

    security: tuple[str, ...]
    """What confines containers on the host (`seccomp`, `selinux`, `apparmor` ...), as its engine says."""

    rights: tuple[Trial, ...]
    """Other rights than it was deployed with. The first has none beyond those of any container."""

    storage: tuple[Trial, ...]
    """Other places and drivers for its images."""


class Figures(Part):
    """What one run found out."""

    machine: dict[str, str]
    """What the figures depend on, by name."""

    builds: dict[str, dict[str, dict[str, Measured]]]
    """Context, step, way."""

    sizes: dict[str, dict[str, Size]]
    """Context, way."""

    idle: dict[str, float]
    """By way: what its engine takes while nothing is built, MiB."""

    found: dict[str, Found] = {}
    """By way."""

    nested: Nested | None = None
    """What was tried with the engine of Docker-in-Docker; None where that was not measured."""

    missing: dict[str, str] = {}
    """By way: why it could not be measured on this machine."""

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways that were measured, in their order."""
        first = next(iter(next(iter(self.builds.values())).values()))
        return tuple(first)

    def worth(self, context: str, way: str) -> Comparison:
        """Hold a way's cold build against the usual way's warm one: what a cache that is there already is worth."""
        found = self.builds[context]
        return Comparison(
            what=context,
            ours=way,
            theirs=AGAINST,
            mine=found["cold"][way].of("seconds"),
            other=found["warm"][AGAINST].of("seconds"),
        )

    def ratio(self, context: str, step: str, way: str, figure: str) -> Comparison:
        """Hold a way against the usual one."""
        found = self.builds[context][step]
        return Comparison(
            what=f"{context}, {step}",
            ours=way,
            theirs=AGAINST,
            mine=found[way].of(figure),
            other=found[AGAINST].of(figure),
            unit=UNITS[figure],
        )
