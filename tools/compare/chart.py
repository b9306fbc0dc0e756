"""Draws bars as SVG: text that any browser shows, on a ground of its own so that dark pages show it too. Pure."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_COLOURS: Final = ("#0b559f", "#5aa2d8", "#e08214")
"""Of the bars in a group, told apart in print and by eyes that don't tell red from green."""
_INK, _FAINT, _GROUND = "#1f2328", "#59636e", "#ffffff"
_WIDTH: Final = 820
_LEFT: Final = 96
"""Room for the names of the rows."""
_RIGHT: Final = 64
"""Room for the figure behind the longest bar."""
_BAR, _GAP = 11, 10
_LETTER: Final = 6.2
"""The width of a letter of 11 px, about."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar, and how far its rounds reached."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Panel:
    """One scale with its rows."""

    title: str
    rows: Sequence[tuple[str, Sequence[Bar]]]
    """A name, and a bar for each name in the chart's legend."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chart:
    """Panels under one another, each with a scale of its own that begins at nought."""

    title: str
    description: str
    """What is seen in it, for whoever does not see it."""

    unit: str
    legend: Sequence[str]
    """The names of the bars in each row; none is shown where there is only one."""

    panels: Sequence[Panel]


def draw(chart: Chart) -> str:
    """Give the chart as the text of an SVG file."""
    parts, top = [_text(16, 28, chart.title, size=15, weight="600")], 44
    if len(chart.legend) > 1:
        parts += _legend(chart.legend, top)
        top += 24
    for panel in chart.panels:
        drawn, top = _panel(panel, chart, top)
        parts += drawn
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" width="{_WIDTH}" height="{top}" '
        'role="img" aria-labelledby="title description" font-family="sans-serif">\n'
        f'<title id="title">{escape(chart.title)}</title>\n'
        f'<desc id="description">{escape(chart.description)}</desc>\n'
        f'<rect width="{_WIDTH}" height="{top}" rx="6" fill="{_GROUND}"/>\n{body}\n</svg>\n'
    )


def _legend(names: Sequence[str], top: int) -> Iterator[str]:
    left = float(_LEFT)
    for name, colour in zip(names, _COLOURS, strict=False):
        yield f'<rect x="{left:.0f}" y="{top}" width="11" height="11" fill="{colour}"/>'
        yield _text(left + 16, top + 10, name)
        left += 40 + len(name) * _LETTER


def _panel(panel: Panel, chart: Chart, top: int) -> tuple[list[str], int]:
    highest = max(bar.high for _, bars in panel.rows for bar in bars)
    step = _step(highest)
    end = math.ceil(highest / step) * step
    wide = (_WIDTH - _LEFT - _RIGHT) / end
    height = sum(len(bars) * _BAR + _GAP for _, bars in panel.rows)
    parts, top = [_text(_LEFT, top + 14, panel.title, weight="600")], top + 24
    bottom = top + height
    for number in range(round(end / step) + 1):
        at = _LEFT + number * step * wide
        parts.append(f'<line x1="{at:.1f}" y1="{top}" x2="{at:.1f}" y2="{bottom}" stroke="{_FAINT}" opacity="0.35"/>')
        mark = f"{number * step:g}" + (f" {chart.unit}" if number * step >= end else "")
        parts.append(_text(at, bottom + 14, mark, anchor="middle", colour=_FAINT))
    y = float(top) + _GAP / 2
    for name, bars in panel.rows:
        parts.append(_text(_LEFT - 8, y + len(bars) * _BAR / 2 + 4, name, anchor="end"))
        for bar, colour in zip(bars, _COLOURS, strict=False):
            parts += _bar(bar, colour, y, wide)
            y += _BAR
        y += _GAP
    return parts, bottom + 32


def _bar(bar: Bar, colour: str, y: float, wide: float) -> Iterator[str]:
    middle = y + _BAR / 2
    low, high = (_LEFT + value * wide for value in (bar.low, bar.high))
    yield f'<rect x="{_LEFT}" y="{y:.1f}" width="{bar.value * wide:.1f}" height="{_BAR - 1.5}" fill="{colour}"/>'
    yield f'<line x1="{low:.1f}" y1="{middle:.1f}" x2="{high:.1f}" y2="{middle:.1f}" stroke="{_INK}"/>'
    yield _text(high + 5, y + _BAR - 2, f"{bar.value:.3g}", size=10)


def _step(highest: float) -> float:
    """Give the distance of the marks: 1, 2 or 5 times a power of ten, so that there are three to seven."""
    rough = highest / 5
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(times * power for times in (1, 2, 5, 10) if times * power >= rough)


def _text(  # noqa: PLR0913, PLR0917 - as many as the element has
    x: float, y: float, text: str, size: int = 11, weight: str = "400", anchor: str = "start", colour: str = _INK
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{colour}">{escape(text)}</text>'
    )
