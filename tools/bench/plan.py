"""What is measured of the Docker platform, in which order, and what it is held against."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Final

from ops.toolchain import console
from tools.bench import plain_docker
from tools.bench.engine import LABEL, Engine
from tools.bench.lab import BARE, BY_HAND, FIRST, FIRST_UP, OURS, Lab
from tools.bench.measure import Command, Deadline, Job, interleaved, peak_mib, run
from tools.bench.stats import LEAST_ROUNDS, Comparison, compare

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PREVIEW_GOAL: Final = 1.05
"""A preview takes at most this many times as long as that of a bare program with the same resources."""

_SHARE: Final = 1 / 7
"""What each of the two sets of previews may take of the whole time before rounds beyond the least are left out."""

_PROJECT, _BARE, _EMPTY = "this project", "bare program", "empty program"
_MAKE_UP, _PULUMI_UP = "`make up`", "`pulumi up`"
_DOCKER_RUN: Final = "`docker run`"
_YES: Final = ("--yes", "--skip-preview")
"""What `make up YES=1` gives to Pulumi, and so what the plain `pulumi up` beside it is given too."""


class Plan:
    """One run of the benchmark."""

    def __init__(self, lab: Lab, engine: Engine, deadline: Deadline, *, rounds: int, docker: Path) -> None:
        """Take the programs, their engine, and the client for `docker run`."""
        self._lab = lab
        self._engine = engine
        self._deadline = deadline
        self._rounds = rounds
        self._docker = docker

    def run(self) -> list[Comparison]:
        """Measure everything, in about four minutes on a quiet machine."""
        with console.step("deploying what is measured", "about 30 s"):
            self._deploy()
        before = f"preview, nothing to do ({self._lab.base} stack)"
        with console.step(f"measuring: {before}", self._about()):
            found = self._previews(before)
        with console.step("measuring: `make up`, nothing to do", "about 25 s"):
            found += self._ups()
        with console.step("measuring: memory", "about 30 s"):
            found += self._memory()
        create = f"preview, all to create ({self._lab.base} stack)"
        with console.step(f"measuring: {create}", self._about()):
            self._clear()
            found[2:2] = self._previews(create)
        with console.step("measuring: first `up` of the offline stack", "about 80 s"):
            found += self._first()
        return found

    def _about(self) -> str:
        three_previews = 5  # seconds, on two quiet cores
        return f"about {min(self._rounds * three_previews, self._deadline.seconds * _SHARE):.0f} s"

    def _deploy(self) -> None:
        lab, deadline = self._lab, self._deadline
        for program in (lab.ours, lab.bare, lab.empty, lab.first):
            program.save("before")
        run(lab.ours.command("up", *_YES), deadline)
        lab.write_bare(deadline)
        for program in (lab.bare, lab.empty):
            run(program.command("up", *_YES), deadline)
        for program in (lab.ours, lab.bare):
            # Measured as having nothing to do, so it must have nothing to do.
            run(program.command("preview", "--expect-no-changes"), deadline)

    def _clear(self) -> None:
        """Take away what is deployed, and let each program's state forget it."""
        self._engine.remove((OURS, BARE))
        for program in (self._lab.ours, self._lab.bare, self._lab.empty):
            program.restore("before")

    def _previews(self, what: str) -> list[Comparison]:
        lab = self._lab
        programs = {_PROJECT: lab.ours, _BARE: lab.bare, _EMPTY: lab.empty}
        jobs = {name: self._timed(each.command("preview")) for name, each in programs.items()}
        figures = interleaved(jobs, self._rounds, share=self._deadline.seconds * _SHARE)
        against = functools.partial(compare, figures, what, _PROJECT, figure="seconds")
        return [against(_BARE, goal=PREVIEW_GOAL), against(_EMPTY)]

    def _ups(self) -> list[Comparison]:
        jobs = {_MAKE_UP: self._lab.make_up(), _PULUMI_UP: self._lab.ours.command("up", *_YES)}
        run(jobs[_MAKE_UP], self._deadline)  # compiles what it imports
        figures = interleaved({name: self._timed(command) for name, command in jobs.items()}, LEAST_ROUNDS)
        return [compare(figures, "up, nothing to do", _MAKE_UP, _PULUMI_UP, figure="seconds")]

    def _memory(self) -> list[Comparison]:
        lab = self._lab
        jobs = {
            _PROJECT: lab.ours.command("preview"),
            _BARE: lab.bare.command("preview"),
            _EMPTY: lab.empty.command("preview"),
        }
        figures = interleaved({name: self._weighed(command) for name, command in jobs.items()}, LEAST_ROUNDS)
        against = functools.partial(compare, figures, figure="peak")
        return [
            against("peak memory of a preview", _PROJECT, _BARE),
            against("peak memory of a preview", _PROJECT, _EMPTY),
        ]

    def _first(self) -> list[Comparison]:
        lab = self._lab
        self._first_up()  # for its state, and to warm up
        container, image = lab.first_container(self._deadline)
        files = lab.root / "files"
        plain_docker.write_files(container, files)
        words = (str(self._docker), "run", *plain_docker.words(container, image, files))
        env = {**lab.outer, "DOCKER_HOST": self._engine.host}
        by_hand = Command(words=words, cwd=lab.root, env=env)
        jobs: dict[str, Job] = {_PULUMI_UP: self._first_up, _DOCKER_RUN: lambda: self._by_hand(by_hand)}
        figures = interleaved(jobs, LEAST_ROUNDS)
        what = "from nothing (offline stack) to"
        return [
            compare(figures, f"{what} a container that runs", _PULUMI_UP, _DOCKER_RUN, figure="running"),
            compare(figures, f"{what} one that is healthy", _PULUMI_UP, _DOCKER_RUN, figure="healthy"),
        ]

    def _first_up(self) -> Mapping[str, float]:
        self._engine.remove((FIRST_UP,))
        self._lab.first.restore("before")
        done = run(self._lab.first.command("up", *_YES), self._deadline)
        found = {"running": self._engine.started(FIRST_UP) - done.begun, "healthy": done.seconds}
        self._engine.remove((FIRST_UP,))
        return found

    def _by_hand(self, command: Command) -> Mapping[str, float]:
        self._engine.remove((BY_HAND,))
        begun = time.time()
        # `docker run` would make it, but without the label by which it is known to be the benchmark's own.
        self._engine.make_volume(BY_HAND, {LABEL: FIRST})
        run(command, self._deadline)
        healthy = self._engine.await_healthy(BY_HAND, self._deadline)
        found = {"running": self._engine.started(BY_HAND) - begun, "healthy": healthy - begun}
        self._engine.remove((BY_HAND,))
        return found

    def _timed(self, command: Command) -> Job:
        return lambda: {"seconds": run(command, self._deadline).seconds}

    def _weighed(self, command: Command) -> Job:
        return lambda: {"peak": peak_mib(command, self._deadline)}
