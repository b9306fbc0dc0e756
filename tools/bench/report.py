"""Shows the figures: a table on the terminal, a page for docs/. Pure but for the printing."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from tools.bench.stats import missed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

    from tools.bench.stats import Comparison, Series, Unit

_HEAD: Final = ("what", "ratio", "goal", "ours", "held against")

TITLES: Final = ("Docker", "Kubernetes")
"""The page's sections, in their order."""

_PAGE: Final = """\
# Benchmarks

Written by `make bench`, which measures both sides of each line in the same run, one right after the other. The ratio
comes first: it says what this project costs, and carries over to other machines; seconds do not. It is the median of
the rounds' ratios, and the range beside it holds all rounds. The other figures are medians, with all rounds' range.
Every other round goes in the opposite order.

The *bare program* declares the very same resources inline. It is written from the state of the deployed stack: same
inputs, references, options and outputs, texts as literals; no settings, no checks, no component. All programs have
the same Pulumi, plugins, Python packages, kind of backend and passphrase, and all refresh first (`options.refresh:
always`). Python keeps its compiled files, as it does by default (`PYTHONDONTWRITEBYTECODE` is taken out of the
environment). Every `pulumi up` is given `--yes --skip-preview`, as `make up YES=1` does. *Nothing to do* is after an
`up`, checked with `preview --expect-no-changes`. *All to create* is before any. Memory is the largest sum of the
resident sizes of all processes of a preview with nothing to do (CLI, language host, program, plugins), looked at
every 25 ms, in runs of their own. Pages that two processes share count twice, on both sides.
"""

_SECTION: Final = """\
## {title}

{machine}

{plugins}

{table}

{verdict}

{reading}
- Each line has {rounds}.
"""

DOCKER: Final = """\
- {stack}
- The *empty program* is `import pulumi`.
- *From nothing* is plain `pulumi up` with an empty state against one `docker run` with the same image, user,
  groups, environment, ports, volumes, limits and health check, the making of its labelled volume included; the
  texts that the stack copies into the container are mounted, since `docker run` copies none. *Runs* is the
  engine's own `StartedAt`. *Healthy* is the end of the `up`, and for `docker run` the engine's word, asked
  every 20 ms. The engine makes its first health check one interval after the start, which is in both."""
"""How to read the Docker platform's figures; `stack` says in a sentence which stack the previews are of."""

KUBERNETES: Final = """\
- The stacks have the settings of `lab` with 1, 20 or 100 builds in place of its own, each with an inline context of
  two files: a base image and one copied file. All are deployed for *nothing to do*, with every image built and
  pushed; the bare program's are in namespaces of its own.
- *Builds, pushed*: the registry runs and has one image; twenty builds are added. `make up` and `pulumi up` print every
  digest when they end. `make up` lets the engine wait for all builds at once (`--parallel`); plain `pulumi up` does
  four things at a time for each processor. `kubectl` is `kubectl apply` of the same Jobs and contexts, and `kubectl
  wait` until all are complete. Before each, Jobs, pods and contexts are deleted; the registry keeps what was pushed.
- *Its Job* is from when a build's Job is there until it is complete, looked at every 100 ms. *Cold* has a step that
  no build had before; *warm* is the same Dockerfile with another `trigger`. The step sleeps and writes 8 MB.
- Memory of a pod is its control group's own highest mark, which counts the page cache; the part without it is
  looked at every 100 ms."""
"""How to read the Kubernetes platform's figures."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """What was measured of one platform."""

    title: str
    """One of TITLES."""
    comparisons: Sequence[Comparison]
    machine: Mapping[str, str]
    """What the figures depend on, by name."""
    reading: str
    """How to read them, as a list in Markdown."""
    notes: Sequence[str] = ()
    """Sentences that are said of the figures, beside the verdict."""
    whole: bool = True
    """Whether all of it was measured."""


def ratio(comparison: Comparison) -> str:
    """Write a ratio, for example `1.03x (1.01-1.06)`."""
    ratios = comparison.ratios
    return f"{times(ratios.median)} ({_number(ratios.low)}-{_number(ratios.high)})"


def absolute(name: str, series: Series, unit: Unit) -> str:
    """Write a series, for example `this project 1.79 s (1.75-1.90)`."""
    return f"{name} {amount(series.median, unit)} ({amount(series.low)}-{amount(series.high)})"


def times(value: float) -> str:
    """Write a ratio alone, for example `1.03x`."""
    return f"{_number(value)}x"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"  # noqa: PLR2004


def amount(value: float, unit: Unit | None = None) -> str:
    """Write a figure with its unit, if one is given, for example `1.79 s`."""
    return f"{_number(value)} {unit}" if unit else _number(value)


def goal(comparison: Comparison) -> str:
    """Write a goal and whether it was met; nothing where none is set."""
    if comparison.goal is None:
        return ""
    bound = f"at most {_number(comparison.goal)}"
    return f"{bound}: missed" if comparison.missed_by else f"{bound}: met"


def rows(comparisons: Sequence[Comparison]) -> list[tuple[str, str, str, str, str]]:
    """Give the table's cells."""
    return [
        (
            each.what,
            ratio(each),
            goal(each),
            absolute(each.ours, each.mine, each.unit),
            absolute(each.theirs, each.other, each.unit),
        )
        for each in comparisons
    ]


def verdict(comparisons: Sequence[Comparison]) -> list[str]:
    """Say, in sentences, which goals were missed and by how much, and which need a quieter machine to tell."""
    said = [
        f"Missed: {each.what}: {each.ours} is at {times(each.ratio)} of {each.theirs}, where {each.goal} is the goal; "
        f"too much by {each.missed_by:.3f} ({_excess(each)})."
        for each in missed(comparisons)
    ]
    said += [
        f"In doubt: {each.what}: the ratio is {each.ratio:.3f} give or take {2 * each.error:.3f}, and {each.goal} lies "
        "within; another run may say otherwise."
        for each in comparisons
        if each.in_doubt
    ]
    if said:
        return said
    return ["Every goal is met."] if any(each.goal is not None for each in comparisons) else ["No goal is set."]


def _excess(comparison: Comparison) -> str:
    excess = comparison.missed_by * comparison.other.median
    return f"{excess * 1000:.0f} ms" if comparison.unit == "s" else f"{excess:.0f} MiB"


def table(measured: Measured) -> Table:
    """Give the table for a terminal."""
    import rich.table  # noqa: PLC0415 - only who prints it needs it
    from rich.text import Text  # noqa: PLC0415

    caption = "\n".join(f"{name}: {value}" for name, value in measured.machine.items())
    shown = rich.table.Table(caption=Text(caption), caption_justify="left", show_lines=True)
    for name in _HEAD:
        shown.add_column(name, overflow="fold")
    for comparison, row in zip(measured.comparisons, rows(measured.comparisons), strict=True):
        style = "red" if comparison.missed_by else "green" if comparison.goal else ""
        cells = [Text(cell.replace("`", "")) for cell in row]
        cells[1].stylize(f"bold {style}".strip())
        cells[2].stylize(style)
        shown.add_row(*cells)
    return shown


def section(measured: Measured) -> str:
    """Give one platform's part of the page."""
    lines = [_HEAD, ("---",) * len(_HEAD), *rows(measured.comparisons)]
    counts = sorted({len(each.mine.values) for each in measured.comparisons})
    return _SECTION.format(
        title=measured.title,
        machine="\n".join(f"- {name}: {value}" for name, value in measured.machine.items()),
        plugins=plugins(measured.machine),
        table="\n".join(f"| {' | '.join(line)} |" for line in lines),
        verdict="\n\n".join([*verdict(measured.comparisons), *measured.notes]),
        reading=measured.reading,
        rounds=f"{' or '.join(map(str, counts))} rounds",
    )


def page(former: str, sections: Sequence[str]) -> str:
    """Give the text of docs/benchmarks.md: sections that were measured now, and the former page's others."""
    parts = {_title(part): part for part in (f"## {text}" for text in former.split("\n## ")[1:])}
    parts |= {_title(part): part for part in sections}
    kept = [parts[title] for title in TITLES if title in parts]
    return "\n".join([_PAGE, *(f"{part.rstrip()}\n" for part in kept)])


def _title(part: str) -> str:
    return part.partition("\n")[0].removeprefix("## ")


def plugins(machine: Mapping[str, str]) -> str:
    """Say whose plugins were measured."""
    parts = [name for name in machine if name == "language host" or name.endswith(" plugin")]
    stand_ins = [name for name in parts if machine[name].endswith("bundled")]
    if not stand_ins:
        return f"The {' and the '.join(parts)} are Pulumi's own."
    return f"Not Pulumi's own but bundled with this project: the {' and the '.join(stand_ins)}."
