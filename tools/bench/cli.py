"""The command line of the benchmark: `python -m tools.bench`."""

from __future__ import annotations

import enum
import os
import signal
import sys
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import docker.errors
import requests
import typer
from rich.console import Console

from ops.clone import Clone, here
from ops.toolchain import cache, console
from ops.toolchain.errors import Trouble
from tools.bench import docker_run, machine, report
from tools.bench.cluster import run as cluster_run
from tools.bench.measure import Deadline
from tools.bench.stats import LEAST_ROUNDS, missed

if TYPE_CHECKING:
    from collections.abc import Callable


class Platform(enum.StrEnum):
    """What can be measured by itself."""

    DOCKER = "docker"
    KUBERNETES = "kubernetes"


SECONDS: Final = {Platform.DOCKER: 350, Platform.KUBERNETES: 2400}
"""How long the measuring of each may take, by default. About 250 and 1300 on two quiet cores."""
ROUNDS: Final = {Platform.DOCKER: 11, Platform.KUBERNETES: 5}
"""Rounds of the previews, whose goal is a matter of some hundredths."""

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def bench(
    only: Annotated[Platform | None, typer.Option(help="Measure one platform. Default: both.")] = None,
    stack: Annotated[str, typer.Option(help="Whose settings the Docker previews take. Default: dev, or offline.")] = "",
    rounds: Annotated[int | None, typer.Option(min=LEAST_ROUNDS, help="Most rounds of the previews.")] = None,
    seconds: Annotated[int | None, typer.Option(min=60, help="Give up on a platform after this many.")] = None,
    write: Annotated[bool, typer.Option(help="Write docs/benchmarks.md.")] = True,  # noqa: FBT002 - an option
) -> None:
    """Measure this project beside bare programs, `docker run` and `kubectl`. Fails when a goal is missed."""
    clone = here()
    good = True
    with cache.locked(cache.root() / "bench.lock", "measuring"):
        for platform in [only] if only else Platform:
            if machine.busy():
                console.note(f"other work is going on (load {os.getloadavg()[0]:.1f}): the figures will be of both")
            deadline = Deadline(seconds or SECONDS[platform])
            most = rounds or ROUNDS[platform]
            if platform is Platform.DOCKER:
                measured = docker_run.measure(clone, stack, deadline, rounds=most)
            else:
                measured = cluster_run.measure(clone, deadline, rounds=most)
            _show(measured)
            if write:
                _write(clone, measured)
            good = good and measured.whole and not missed(measured.comparisons)
    raise typer.Exit(0 if good else 1)


def _show(measured: report.Measured) -> None:
    Console(width=None if sys.stdout.isatty() else 160).print(report.table(measured))
    for sentence in [*report.verdict(measured.comparisons), *measured.notes]:
        console.note(sentence)


def _write(clone: Clone, measured: report.Measured) -> None:
    target = clone.root / "docs" / "benchmarks.md"
    former = target.read_text(encoding="utf-8") if target.exists() else ""
    cache.write(target, report.page(former, [report.section(measured)]))
    console.note(f"written: {target.relative_to(clone.root)}")


def _end(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)


def main() -> None:
    """Run the benchmark. 1: a goal is missed, or something failed; 2: usage; 130: Ctrl-C."""
    guarded(app)


def guarded(command: Callable[[], None]) -> None:
    """Run a command line; what a user has to put right is shown without a traceback, and a break leaves nothing."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, _end)
    try:
        command()
    except Trouble as trouble:
        console.note(f"error: {trouble}")
        sys.exit(trouble.code)
    except (requests.RequestException, docker.errors.DockerException) as gone:
        console.note(
            f"error: the Docker engine does not do what it is asked: {gone}\n  See that `docker version` works."
        )
        sys.exit(1)
    except KeyboardInterrupt:
        console.note("stopped")
        sys.exit(130)
