"""What the benchmark makes of its figures."""

import pytest

from tools.bench.stats import Comparison, Series, missed


def comparison(mine: tuple[float, ...], other: tuple[float, ...], goal: float | None = None) -> Comparison:
    return Comparison(what="x", ours="a", theirs="b", mine=Series(mine), other=Series(other), goal=goal)


def test_a_series_gives_its_median_and_its_range() -> None:
    series = Series((3.0, 1.0, 2.0, 9.0, 2.5))
    assert (series.median, series.low, series.high) == (2.5, 1.0, 9.0)


@pytest.mark.parametrize("values", [(), (1.0, 1.0, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0, 0.0), (1.0, 1.0, 1.0, 1.0, -1.0)])
def test_too_few_figures_and_figures_that_no_clock_gives_are_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"rounds|figures"):
        Series(values)


def test_series_of_different_rounds_are_not_compared() -> None:
    with pytest.raises(ValueError, match="5 rounds against 6"):
        comparison((1.0,) * 5, (1.0,) * 6)


def test_a_disturbance_that_falls_on_both_sides_of_a_round_does_not_change_the_ratio() -> None:
    quiet = comparison((1.1,) * 5, (1.0,) * 5)
    # The ratio of the medians would be 3.3 to 2.0.
    disturbed = comparison((1.1, 3.3, 3.3, 3.3, 1.1), (1.0, 3.0, 3.0, 3.0, 1.0))
    assert disturbed.ratio == pytest.approx(quiet.ratio) == pytest.approx(1.1)


def test_a_ratio_above_its_goal_misses_it_by_the_difference() -> None:
    over = comparison((1.08,) * 5, (1.0,) * 5, goal=1.05)
    under = comparison((1.02,) * 5, (1.0,) * 5, goal=1.05)
    without = comparison((9.0,) * 5, (1.0,) * 5)
    assert over.missed_by == pytest.approx(0.03)
    assert under.missed_by == without.missed_by == 0
    assert missed([under, over, without]) == [over]


def test_a_ratio_that_is_exactly_its_goal_meets_it() -> None:
    assert not comparison((1.5,) * 5, (1.0,) * 5, goal=1.5).missed_by


def test_a_goal_within_the_figures_own_error_is_in_doubt() -> None:
    steady = comparison((1.10, 1.10, 1.10, 1.11, 1.09), (1.0,) * 5, goal=1.05)
    shaky = comparison((1.10, 1.30, 0.90, 1.25, 0.95), (1.0,) * 5, goal=1.05)
    assert not steady.in_doubt
    assert shaky.in_doubt
    assert not comparison((1.10, 1.30, 0.90, 1.25, 0.95), (1.0,) * 5).in_doubt
