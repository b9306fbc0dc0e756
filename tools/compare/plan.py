"""What is built, in which order, and what is taken of each build."""

from __future__ import annotations

import dataclasses
import functools
import secrets
from typing import TYPE_CHECKING, Final

from ops.toolchain import console
from tools.bench.measure import LateError, interleaved
from tools.compare import meter
from tools.compare.contexts import CONTEXTS, STEPS
from tools.compare.figures import UNITS, Measured, Size

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from tools.compare.cluster import ClusterWays
    from tools.compare.contexts import Context, Step
    from tools.compare.host import HostWays
    from tools.compare.registry import Registry
    from tools.compare.ways import Built, Way

_PROBE: Final = "probe"
"""The folder and the repository of what is built to find something out."""
_KEPT: Final = ("seconds", "cpu", "peak")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """One run of the comparison, with everything deployed."""

    ways: Sequence[Way]
    host: HostWays
    cluster: ClusterWays
    registry: Registry
    base: str
    """The image that all contexts build from."""

    contexts: Sequence[Context] = CONTEXTS

    def measure(self, rounds: int, share: float) -> dict[str, dict[str, dict[str, Measured]]]:
        """Build everything.

        Args:
            rounds: how often, each time by every way, every other time in the opposite order.
            share: seconds for each context after which no round beyond the least is begun.

        Returns:
            Context, step, way. What was measured is given, too, where the time was up before all of it was.
        """
        found: dict[str, dict[str, dict[str, Measured]]] = {}
        for context in self.contexts:
            jobs = {way.name: functools.partial(self.round, way, context) for way in self.ways}
            try:
                with console.step(f"measuring: {context.name}", f"at most {share:.0f} s, or {rounds} rounds"):
                    found[context.name] = by_step(interleaved(jobs, rounds, share=share))
            except LateError as late:
                if not found:
                    raise
                console.note(f"error: {late}")
                break
        return found

    def round(self, way: Way, context: Context) -> Mapping[str, float]:
        """Build a context by a way: cold, warm, changed. Give the figures by `<step> <name>`."""
        mark = secrets.token_hex(8)
        files = context.files(base=self.base, run=mark, last="first")
        changed = context.files(base=self.base, run=mark, last="changed")
        if way.platform == "docker":
            self.host.clear(way, self.registry, self.base)
        taken: dict[str, float] = {}
        before: Mapping[str, str] = {}
        for step, wanted in zip(STEPS, (files, files, changed), strict=True):
            built = self._build(way, context, step, wanted, before)
            before = wanted
            taken |= {f"{step} {name}": getattr(built, name) for name in _KEPT}
        return taken

    def _build(
        self, way: Way, context: Context, step: Step, files: Mapping[str, str], before: Mapping[str, str]
    ) -> Built:
        if way.platform == "kubernetes":
            return self.cluster.build(way, context.name, files)
        self.host.put(way, context.name, {path: text for path, text in files.items() if before.get(path) != text})
        return self.host.build(way, context.name, f"{self.registry.host}/{repository(way, context)}:{step}")

    def once(self, way: Way, files: Mapping[str, str]) -> tuple[str, str]:
        """Build some files by a way, whatever it takes; give the image's repository and tag."""
        first = CONTEXTS[0]
        if way.platform == "kubernetes":
            self.cluster.build(way, first.name, files)
            return repository(way, first), _tag(way)
        self.host.put(way, _PROBE, files)
        self.host.build(way, _PROBE, f"{self.registry.host}/{_PROBE}:{way.name}")
        return _PROBE, way.name

    def sizes(self, measured: Collection[str]) -> dict[str, dict[str, Size]]:
        """Give what each image takes that was built last, of the contexts that were measured."""
        return {
            context.name: {way.name: self.registry.size(repository(way, context), _tag(way)) for way in self.ways}
            for context in self.contexts
            if context.name in measured
        }

    def idle(self) -> dict[str, float]:
        """Give what each way's engine takes while nothing is built, MiB; nothing for one that has none."""
        return {way.name: meter.idle(self.host.scope(way)) for way in self.ways if way.platform == "docker"}


def repository(way: Way, context: Context) -> str:
    """Give the repository that a way's image of a context is pushed to."""
    return f"{way.name}-{context.name}"


def _tag(way: Way) -> str:
    return STEPS[-1] if way.platform == "docker" else "1"


def by_step(
    figures: Mapping[str, Mapping[str, tuple[float, ...]]],
) -> dict[str, dict[str, Measured]]:
    """Give the figures of a context, `{way: {"<step> <name>": values}}`, by step and way."""
    return {
        step: {
            way: Measured.model_validate({name: of[f"{step} {name}"] for name in UNITS}) for way, of in figures.items()
        }
        for step in STEPS
    }
