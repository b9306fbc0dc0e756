"""What is made of the measured figures: medians, spreads, ratios and verdicts. Pure."""

from __future__ import annotations

import dataclasses
import math
import statistics
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEAST_ROUNDS: Final = 5
"""Fewer rounds give no median worth the name: with five, two of them may be disturbed."""

Unit = Literal["s", "MiB"]


@dataclasses.dataclass(frozen=True)
class Series:
    """One thing, measured once in each round; in seconds or MiB."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse too few values, and such as no clock gives."""
        if len(self.values) < LEAST_ROUNDS:
            raise ValueError(f"{len(self.values)} rounds; a median is made from at least {LEAST_ROUNDS}")
        if min(self.values) <= 0:
            raise ValueError(f"{min(self.values)} is among the figures; all are above 0")

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The smallest."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The largest."""
        return max(self.values)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two things, measured side by side in the same rounds."""

    what: str
    """What was done, for example "preview, nothing to do"."""
    ours: str
    """What stands for this project, for example "this project"."""
    theirs: str
    """What it is held against, for example "the bare program"."""
    mine: Series
    other: Series
    """Round by round: the values at one place were taken one right after the other."""
    unit: Unit = "s"
    goal: float | None = None
    """The largest ratio that is good enough, if one is set."""

    def __post_init__(self) -> None:
        """Refuse series that can't be of the same rounds."""
        if len(self.mine.values) != len(self.other.values):
            raise ValueError(f"{self.what}: {len(self.mine.values)} rounds against {len(self.other.values)}")

    @property
    def ratios(self) -> Series:
        """Ours by theirs, round by round."""
        pairs = zip(self.mine.values, self.other.values, strict=True)
        return Series(tuple(mine / other for mine, other in pairs))

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios.

        Not the ratio of the medians: what disturbs a machine for some seconds falls on both sides of a round, and its
        ratio stays what it is.
        """
        return self.ratios.median

    @property
    def error(self) -> float:
        """How far the ratio may be off by chance: 1.25 standard errors of a mean, from the median absolute deviation.

        The two factors are those of a normal distribution: its deviation is 1.4826 times the median absolute one, and a
        median's standard error is the square root of pi/2 times a mean's.
        """
        ratios = self.ratios.values
        deviation: float = statistics.median(abs(ratio - self.ratio) for ratio in ratios)
        return 1.2533 * 1.4826 * deviation / math.sqrt(len(ratios))

    @property
    def missed_by(self) -> float:
        """How far the ratio is above its goal; 0 where it is met or none is set."""
        return max(0.0, self.ratio - self.goal) if self.goal is not None else 0.0

    @property
    def in_doubt(self) -> bool:
        """Whether twice the error reaches across the goal, so that another run may say the opposite."""
        return self.goal is not None and abs(self.ratio - self.goal) < 2 * self.error


def compare(  # noqa: PLR0913 - each is a word of the sentence that it makes
    figures: Mapping[str, Mapping[str, tuple[float, ...]]],
    what: str,
    ours: str,
    theirs: str,
    *,
    figure: str,
    goal: float | None = None,
) -> Comparison:
    """Compare two of the jobs that were measured together.

    Args:
        figures: name of the job, name of the figure, values.
        what: see Comparison.
        ours: the job that stands for this project; see Comparison.
        theirs: the job that it is held against; see Comparison.
        figure: which; `peak` is in MiB, any other in seconds.
        goal: see Comparison.
    """
    return Comparison(
        what=what,
        ours=ours,
        theirs=theirs,
        mine=Series(figures[ours][figure]),
        other=Series(figures[theirs][figure]),
        unit="MiB" if figure == "peak" else "s",
        goal=goal,
    )


def missed(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons whose goal was not reached."""
    return [comparison for comparison in comparisons if comparison.missed_by > 0]
