"""Renders figures as Markdown tables and charts."""

import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

Found = dict[str, Any]
"""One benchmark in a file of figures: `name`, `title`, `goals`, `skipped`, `rounds` (see `measure.rounds`)."""

_BLOCK: Final = re.compile(r"(<!-- figures: (\S+) -->\n)(.*?)(<!-- end of figures -->)", re.DOTALL)


def spread(values: Sequence[float], unit: str) -> str:
    """Give the median with the smallest and the largest, for example `1.03x (0.99-1.10)`."""
    reach = f" ({figure(min(values))}-{figure(max(values))})" if len(values) > 1 else ""
    return f"{figure(statistics.median(values))}{unit}{reach}"


def figure(value: float) -> str:
    """Give a number with three digits that count."""
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"  # noqa: PLR2004 - powers of ten


def table(found: Found) -> str:
    """Give the Markdown table of one benchmark: a row for each variant, the ratio to the first variant first.

    Memory and processor time are those of the first step.
    """
    rounds: Mapping[str, Any] = found["rounds"]
    first = next(iter(rounds))
    steps = list(rounds[first])
    goals = {name: f"at most {goal:.2f}x" for name, goal in found["goals"].items()}
    heads = ["", *(step or "ratio and time" for step in steps), "memory", "processor", *(["goal"] if goals else [])]
    lines = [heads, ["---"] * len(heads)]
    for name, of in rounds.items():
        cells = [name]
        for step in steps:
            seconds, base = of[step]["seconds"], rounds[first][step]["seconds"]
            # Round by round: what disturbs a machine for some seconds falls on both sides of a round.
            ratios = [value / other for value, other in zip(seconds, base, strict=True)]
            median = f"{figure(statistics.median(seconds))} s"
            cells.append(f"1; {spread(seconds, ' s')}" if name == first else f"{spread(ratios, 'x')}; {median}")
        for key, unit in (("memoryMib", "MiB"), ("cpuSeconds", "s")):
            median = statistics.median(of[steps[0]][key])
            cells.append(f"{figure(median)} {unit}" if median else "")
        lines.append(cells + ([goals.get(name, "")] if goals else []))
    text = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    count = len(rounds[first][steps[0]]["seconds"])
    skipped = "".join(f"- {name}: not measured, {why}\n" for name, why in found["skipped"].items())
    return f"{text}\n{count} round{'s' if count > 1 else ''}.\n{skipped and chr(10)}{skipped}"


def machine(about: Mapping[str, str]) -> str:
    """Give what the figures depend on, as a list."""
    return "".join(f"- {name}: {value}\n" for name, value in about.items())


def filled(page: str, figures: Mapping[str, Any]) -> str:
    """Give a page with the tables between its marks: `<!-- figures: NAME -->` up to `<!-- end of figures -->`.

    NAME is a benchmark's, or `machine`. Marks of benchmarks that the figures don't have stay as they are.
    """
    known = {each["name"]: table(each) for each in figures["benchmarks"]} | {"machine": machine(figures["machine"])}
    return _BLOCK.sub(lambda mark: f"{mark[1]}{known.get(mark[2], mark[3])}{mark[4]}", page)


def whole(figures: Mapping[str, Any]) -> str:
    """Give all tables as one text."""
    tables = "\n".join(f"## {each['title']}\n\n{table(each)}" for each in figures["benchmarks"])
    return f"{machine(figures['machine'])}\n{tables}"


def chart(benchmarks: Sequence[Found], file: Path) -> None:
    """Draw the times: a panel for each benchmark, a group of bars for each variant, and in it a bar for each step."""
    import matplotlib as mpl  # noqa: PLC0415 - 0.5 s that tables don't need
    from matplotlib.figure import Figure  # noqa: PLC0415

    # The salt makes the same file of the same figures.
    mpl.rcParams.update({"svg.hashsalt": "benchmarks", "svg.fonttype": "none", "font.size": 9})
    heights = [0.6 + 0.17 * sum(map(len, each["rounds"].values())) for each in benchmarks]
    sheet = Figure(figsize=(8.2, sum(heights) + 0.5), layout="constrained")
    panels = sheet.subplots(len(benchmarks), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, each in zip(panels, benchmarks, strict=True):
        names, steps = list(each["rounds"]), list(next(iter(each["rounds"].values())))
        for place, step in enumerate(steps):
            values = [each["rounds"][name][step]["seconds"] for name in names]
            medians = [statistics.median(of) for of in values]
            below = [median - min(of) for median, of in zip(medians, values, strict=True)]
            above = [max(of) - median for median, of in zip(medians, values, strict=True)]
            at = [row + (place - (len(steps) - 1) / 2) * 0.8 / len(steps) for row in range(len(names))]
            axes.barh(at, medians, 0.8 / len(steps), xerr=[below, above], label=step, error_kw={"linewidth": 0.8})
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_title(each["title"], loc="left", fontsize=9)
        axes.set_xlabel("seconds")
        if steps != [""]:
            axes.legend()
    sheet.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
