"""The charts of docs/comparison.md, from the figures. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.compare.chart import Bar, Chart, Panel, draw
from tools.compare.contexts import CONTEXTS, STEPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.compare.figures import Figures


def charts(figures: Figures) -> dict[str, str]:
    """Give the charts as the texts of SVG files, by their names."""
    seconds = Chart(
        title="From asking for a build to its image in the registry",
        description=_described(figures, "seconds", STEPS, "seconds"),
        unit="s",
        legend=STEPS,
        panels=[_panel(figures, context, "seconds", STEPS) for context in figures.builds],
    )
    cold = STEPS[:1]
    cpu = Chart(
        title="Processor time of a first build",
        description=_described(figures, "cpu", cold, "seconds of one processor"),
        unit="s",
        legend=cold,
        panels=[_panel(figures, context, "cpu", cold) for context in figures.builds],
    )
    memory = Chart(
        title="Memory at its highest in a first build, without page cache",
        description=_described(figures, "peak", cold, "MiB"),
        unit="MiB",
        legend=cold,
        panels=[_panel(figures, context, "peak", cold) for context in figures.builds],
    )
    return {"time.svg": draw(seconds), "cpu.svg": draw(cpu), "memory.svg": draw(memory)}


def _panel(figures: Figures, context: str, figure: str, steps: Sequence[str]) -> Panel:
    rows = []
    for way in figures.ways:
        series = [figures.builds[context][step][way].of(figure) for step in steps]
        rows.append((way, [Bar(value=each.median, low=each.low, high=each.high) for each in series]))
    [what] = [each.what for each in CONTEXTS if each.name == context]
    return Panel(title=f"{context}: {what}", rows=rows)


def _described(figures: Figures, figure: str, steps: Sequence[str], unit: str) -> str:
    """Say in words what bars show: medians, way by way."""
    said = [
        f"{context}, {step}: "
        + ", ".join(f"{way} {figures.builds[context][step][way].of(figure).median:.3g}" for way in figures.ways)
        for context in figures.builds
        for step in steps
    ]
    return f"Medians in {unit}. {'; '.join(said)}."
