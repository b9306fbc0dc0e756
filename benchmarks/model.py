"""What a benchmark is: variants of one task, each a command line with what must be done before it."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

PREFIX: Final = "ci-bench"
"""What the name of everything begins with that a benchmark makes on an engine or in a cluster."""


class BenchmarkError(Exception):
    """A benchmark can't be set up, or a command of it fails. The text says why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Meter:
    """Where a command's work is done, if not in its own processes: in an engine or in pods of this machine."""

    groups: tuple[str, ...] = ()
    """Control groups by their path below the root of the hierarchy: `docker`, `kubepods`."""

    pids: tuple[int, ...] = ()
    """Processes outside of these groups."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """A command line to measure.

    If it prints a line `bench-seconds <number>`, that number is its time instead of the time of the whole command. So a
    script in a container can leave out what starting the script took.
    """

    words: tuple[str, ...]
    cwd: Path = Path("/")
    env: dict[str, str] | None = None
    """The whole environment; this process's own by default."""

    meter: Meter | None = None
    """By default the memory and processor time of the command's own processes count."""


Step = Callable[[], Command]
"""Does what is not measured, and gives the command that is."""


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to do the task."""

    name: str
    steps: Mapping[str, Step]
    """In this order, once each round. A task without steps has one, named by an empty text."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One task. All variants are measured in each round, one right after the other."""

    name: str
    title: str
    variants: tuple[Variant, ...]
    """The first one is what the others are compared with."""

    goals: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """By variant: the largest ratio to the first variant that is good enough."""

    skipped: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """By variant: why it could not be measured."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What a set-up is told. `__main__.py` says what each means."""

    scratch: Path
    stack: str
    cluster_stack: str
    kubeconfig: Path
    repository: str
    tcp: str
    tcp_certificates: Path


SetUp = Callable[[Options, ExitStack], Iterator[Benchmark]]
"""Sets up and yields one benchmark after the other; each is measured before the next set-up goes on.

What has to be removed at the end is put on the stack as soon as it is made."""


def static(name: str, command: Command) -> Variant:
    """Give a variant that needs nothing before it."""
    return Variant(name, {"": lambda: command})
