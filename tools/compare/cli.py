"""The command line of the comparison: `python -m tools.compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from ops.clone import here
from ops.toolchain import cache, console
from tools.bench.cli import guarded
from tools.bench.measure import Deadline
from tools.bench.stats import LEAST_ROUNDS
from tools.compare import charts, page
from tools.compare.cluster import MEMORY_MIB
from tools.compare.contexts import CONTEXTS
from tools.compare.figures import Figures
from tools.compare.ways import AGAINST, ALL

if TYPE_CHECKING:
    from pathlib import Path

    from ops.clone import Clone

SECONDS: Final = 3600
"""How long all of it may take, by default. About 1800 on two quiet cores."""

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def compare(  # noqa: PLR0913, PLR0917 - each is an option
    only: Annotated[
        list[str] | None, typer.Option(help="Measure these ways and the socket, and write nothing.")
    ] = None,
    context: Annotated[list[str] | None, typer.Option(help="Build these contexts alone, and write nothing.")] = None,
    rounds: Annotated[int, typer.Option(min=LEAST_ROUNDS, help="Most rounds of each context.")] = LEAST_ROUNDS,
    seconds: Annotated[int, typer.Option(min=60, help="Give up after this many.")] = SECONDS,
    patience: Annotated[int, typer.Option(min=0, help="Wait so many seconds for other work to end.")] = 0,
    write: Annotated[bool, typer.Option(help="Write docs/comparison.md and what belongs to it.")] = True,  # noqa: FBT002 - an option
    probe: Annotated[bool, typer.Option(help="Probe anew what builds may do; keep the figures of builds.")] = False,  # noqa: FBT002 - an option
    again: Annotated[bool, typer.Option(help="Write it from the figures that are there; measure nothing.")] = False,  # noqa: FBT002 - an option
) -> None:
    """Build the same contexts by every way, and write docs/comparison.md."""
    clone = here()
    former = None
    if again or probe:
        former = Figures.model_validate_json(_figures(clone).read_text(encoding="utf-8"))
    if again and former:
        _write(clone, former)
        return
    from tools.compare import run  # noqa: PLC0415 - the tests' packages come with it

    chosen = [way for way in ALL if not only or way.name in {*only, AGAINST}]
    contexts = [each for each in CONTEXTS if not context or each.name in context]
    whole = write and not only and not context

    def keep(found: Figures) -> None:
        if whole:
            _write(clone, found)
        else:
            print(page.page(found, memory_mib=MEMORY_MIB))  # noqa: T201 - the answer

    with cache.locked(cache.root() / "bench.lock", "measuring"):
        run.measure(
            clone,
            chosen,
            contexts,
            Deadline(seconds + patience, "compare"),
            rounds=rounds,
            patience=patience,
            keep=keep,
            former=former,
        )


def _figures(clone: Clone) -> Path:
    return clone.root / "docs" / page.FOLDER / "figures.json"


def _write(clone: Clone, found: Figures) -> None:
    figures = _figures(clone)
    figures.parent.mkdir(exist_ok=True)
    cache.write(figures, f"{found.model_dump_json(indent=1)}\n")
    for name, text in charts.charts(found).items():
        cache.write(figures.with_name(name), text)
    target = figures.parent.with_suffix(".md")
    cache.write(target, page.page(found, memory_mib=MEMORY_MIB))
    console.note(f"written: {target.relative_to(clone.root)}, and {figures.parent.relative_to(clone.root)}/")


def main() -> None:
    """Run the comparison. 1: something failed; 2: usage; 130: Ctrl-C."""
    guarded(app)
