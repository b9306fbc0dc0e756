"""What is measured of the Kubernetes platform, in which order, and what it is held against."""

from __future__ import annotations

import dataclasses
import itertools
import json
from typing import TYPE_CHECKING, Final

from ops.deploy import parallelism
from ops.toolchain import console
from tools.bench.cluster import stacks as made
from tools.bench.cluster.stacks import MANY, SIZES, builds_namespace
from tools.bench.cluster.words import manifests
from tools.bench.measure import Command, Deadline, Job, interleaved, peak_mib, run
from tools.bench.report import absolute
from tools.bench.stats import LEAST_ROUNDS, Comparison, Series, compare

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tools.bench.cluster.node import Node
    from tools.bench.cluster.stacks import Pair, Stacks

PREVIEW_GOAL: Final = 1.05
"""A preview takes at most this many times as long as that of a bare program with the same resources."""
UP_GOAL: Final = 1.20
"""Twenty builds take at most this many times as long as by kubectl."""
WARM_GOAL: Final = 0.35
"""A build whose layers are in the cache takes at most this part of the time of one whose layers are not."""

MORE: Final = 20
"""How many builds are brought up at once."""
STEP_SECONDS: Final = 8
"""How long the step takes that the cache saves: about as long as installing a few packages."""
_LAYER_BYTES: Final = 8_000_000
"""What the step leaves behind, and the cache has to carry. Random, so that no compression helps."""

_SHARE: Final = 1 / 6
"""What each of the two sets of previews may take of the whole time before rounds beyond the least are left out."""
_YES: Final = ("--yes", "--skip-preview")
_PROJECT, _BARE = "this project", "bare program"
_MAKE_UP, _PULUMI_UP, _BARE_UP, _KUBECTL = "`make up`", "`pulumi up`", "bare `pulumi up`", "`kubectl`"
_COLD, _WARM = "cold", "warm"
_LAYERED: Final = "layered"
"""The build whose step is cached."""


class Plan:
    """One run of the benchmark."""

    def __init__(self, stacks: Stacks, node: Node, deadline: Deadline, *, rounds: int) -> None:
        """Take the programs and the cluster that they are for."""
        self._stacks = stacks
        self._node = node
        self._deadline = deadline
        self._rounds = rounds
        self._list: Path = stacks.root / "builds.json"
        self._round = 0
        self._step = ""
        self.found: list[Comparison] = []
        """What is measured so far."""
        self.notes: list[str] = []
        """What is said in sentences beside the table."""

    def run(self) -> None:
        """Measure everything, in about twenty minutes on a quiet machine. What is measured is in `found`."""
        about = f"about {self._deadline.seconds * _SHARE:.0f} s"
        with console.step("deploying what the previews are of", "about 4 min"):
            for pair in self._stacks.pairs.values():
                self._deploy(pair)
        with console.step("measuring: previews, nothing to do", about):
            self.found += self._previews("nothing to do")
        with console.step("measuring: memory", "about 3 min"):
            self.found += self._memory()
        with console.step("measuring: previews, all to create", about):
            self._clear()
            self.found += self._previews("all to create")
        with console.step("measuring: twenty builds", "about 6 min"):
            self._seed()
            self.found += self._ups()
        with console.step("measuring: a build with its layers in the cache", "about 2 min"):
            self.found += self._cached()

    def _deploy(self, pair: Pair) -> None:
        for program in (pair.ours, pair.bare):
            program.save("before")
        self._up(pair)
        for program in (pair.ours, pair.bare):
            # Measured as having nothing to do, so it must have nothing to do.
            run(program.command("preview", "--expect-no-changes"), self._deadline)

    def _up(self, pair: Pair) -> None:
        """Bring both up: this project's stack, and the bare program made from it."""
        at_once = parallelism({"config": {"ci:builds": [{}] * pair.builds}}, ())
        run(pair.ours.command("up", *_YES, *at_once), self._deadline)
        self._stacks.write_bare(pair, pair.ours.exported(self._deadline))
        run(pair.bare.command("up", *_YES, *at_once), self._deadline)

    def _clear(self) -> None:
        """Take away what is deployed, and let each program's state forget it."""
        self._node.remove_namespaces(self._stacks.namespaces())
        for pair in self._stacks.pairs.values():
            for program in (pair.ours, pair.bare):
                program.restore("before")

    def _previews(self, what: str) -> list[Comparison]:
        figures = interleaved(self._sides(self._timed), self._rounds, share=self._deadline.seconds * _SHARE)
        self.notes.append(f"Preview, {what}: {per_build(figures)}")
        return [_against_bare(figures, f"preview, {what}", size, figure="seconds") for size in SIZES]

    def _memory(self) -> list[Comparison]:
        figures = interleaved(self._sides(self._weighed), LEAST_ROUNDS)
        return [_against_bare(figures, "peak memory of a preview", size, figure="peak") for size in SIZES]

    def _sides(self, measured: Callable[[Command], Job]) -> dict[str, Job]:
        jobs = {}
        for size, pair in self._stacks.pairs.items():
            jobs[_name(_PROJECT, size)] = measured(pair.ours.command("preview"))
            jobs[_name(_BARE, size)] = measured(pair.bare.command("preview"))
        return jobs

    def _seed(self) -> None:
        """Deploy the stack that is given twenty builds more again and again, and bring them up once to warm up."""
        pair, stacks = self._stacks.many, self._stacks
        self._up(pair)
        for program in (pair.ours, pair.bare):
            program.save("seeded")
        stacks.configure(MANY, made.builds(1 + MORE))
        self._up(pair)
        run(stacks.make_up(), self._deadline)  # compiles what it imports
        names = [build["name"] for build in made.builds(MORE, first=1)]
        deployment = pair.ours.exported(self._deadline)
        self._list.write_text(json.dumps(manifests(deployment, names)), encoding="utf-8")
        self._unbuild()

    def _unbuild(self) -> None:
        """Go back to the one build that was there before."""
        pair = self._stacks.many
        for side, program in (("o", pair.ours), ("b", pair.bare)):
            self._node.remove_builds(builds_namespace(MANY, side), but=made.builds(1)[0]["name"])
            program.restore("seeded")

    def _ups(self) -> list[Comparison]:
        pair = self._stacks.many
        namespace = builds_namespace(MANY, "o")
        wait = ("wait", "job", "--namespace", namespace, "--selector", "app.kubernetes.io/part-of=ci")
        script = '"$@" apply -f "$LIST" && "$@" $WAIT --for=condition=complete --timeout=600s'
        env = {**self._stacks.outer, "LIST": str(self._list), "WAIT": " ".join(wait)}
        by_hand = Command(words=("sh", "-c", script, "-", *self._node.words()), cwd=self._stacks.root, env=env)
        commands = {
            _MAKE_UP: self._stacks.make_up(),
            _PULUMI_UP: pair.ours.command("up", *_YES),
            _BARE_UP: pair.bare.command("up", *_YES),
            _KUBECTL: by_hand,
        }
        jobs = {name: self._after_unbuilding(command) for name, command in commands.items()}
        figures = interleaved(jobs, LEAST_ROUNDS)
        self._unbuild()
        what = f"{MORE} builds, pushed"
        return [
            compare(figures, what, _MAKE_UP, _KUBECTL, figure="seconds", goal=UP_GOAL),
            compare(figures, what, _PULUMI_UP, _KUBECTL, figure="seconds"),
            compare(figures, what, _MAKE_UP, _BARE_UP, figure="seconds"),
        ]

    def _after_unbuilding(self, command: Command) -> Job:
        def job() -> Mapping[str, float]:
            self._unbuild()
            return {"seconds": run(command, self._deadline).seconds}

        return job

    def _cached(self) -> list[Comparison]:
        figures = interleaved(
            {_COLD: lambda: self._layered(cold=True), _WARM: lambda: self._layered(cold=False)}, LEAST_ROUNDS
        )
        for name, of in figures.items():
            peak, anonymous = (absolute("", Series(of[key]), "MiB").strip() for key in ("peak", "anonymous"))
            self.notes.append(f"Memory of the {name} build's pod at its peak: {peak}; without page cache {anonymous}.")
        what = f"a build with a step of {STEP_SECONDS} s"
        return [
            compare(figures, f"{what}, its Job", _WARM, _COLD, figure="job", goal=WARM_GOAL),
            compare(figures, f"{what}, by `pulumi up`", _WARM, _COLD, figure="up"),
        ]

    def _layered(self, *, cold: bool) -> Mapping[str, float]:
        """Build once: cold with a step that no build had before, warm for another reason."""
        self._round += 1
        if cold:
            self._step = f"sleep {STEP_SECONDS}; head -c {_LAYER_BYTES} /dev/urandom > /layer; echo {self._round}"
        dockerfile = f"FROM alpine:latest\nRUN {self._step}\nCOPY a.txt /a.txt\n"
        layered = made.build(_LAYERED, dockerfile, trigger=str(self._round))
        program = self._stacks.configure(MANY, [*made.builds(1), layered])
        with self._node.watching(builds_namespace(MANY, "o"), _LAYERED) as watch:
            seconds = run(program.command("up", *_YES), self._deadline).seconds
        mib = 2**20
        return {"up": seconds, "job": watch.seconds, "peak": watch.peak / mib, "anonymous": watch.anonymous / mib}

    def _timed(self, command: Command) -> Job:
        return lambda: {"seconds": run(command, self._deadline).seconds}

    def _weighed(self, command: Command) -> Job:
        return lambda: {"peak": peak_mib(command, self._deadline)}


def per_build(figures: Mapping[str, Mapping[str, tuple[float, ...]]]) -> str:
    """Say what one build more costs, from the medians, between each size and the next: alike if it is linear."""
    said = []
    for less, more in itertools.pairwise(SIZES):
        each = {
            side: (
                Series(figures[_name(side, more)]["seconds"]).median
                - Series(figures[_name(side, less)]["seconds"]).median
            )
            / (more - less)
            for side in (_PROJECT, _BARE)
        }
        said.append(
            f"from {less} to {more} builds, each adds {each[_PROJECT] * 1000:.0f} ms "
            f"({_BARE}: {each[_BARE] * 1000:.0f} ms)"
        )
    return f"{'; '.join(said)}."


def _against_bare(
    figures: Mapping[str, Mapping[str, tuple[float, ...]]], what: str, size: int, *, figure: str
) -> Comparison:
    what = f"{what}: {size} build{'s' if size > 1 else ''}"
    sides = _name(_PROJECT, size), _name(_BARE, size)
    found = compare(figures, what, *sides, figure=figure, goal=PREVIEW_GOAL)
    return dataclasses.replace(found, ours=_PROJECT, theirs=_BARE)


def _name(side: str, size: int) -> str:
    return f"{side}, {size}"
