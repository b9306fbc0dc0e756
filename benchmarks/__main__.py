"""`python -m benchmarks run` and `python -m benchmarks report`."""

import contextlib
import functools
import json
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from benchmarks import kubernetes, measure, report
from benchmarks.comparison import comparison
from benchmarks.daemon import daemon, push
from benchmarks.docker_host import docker_host
from benchmarks.model import BenchmarkError, Options, SetUp
from benchmarks.project import CLONE

SET_UPS: Final[Mapping[str, SetUp]] = {
    "docker": docker_host,
    **{f"kubernetes-{size}": functools.partial(kubernetes.previews, size) for size in kubernetes.SIZES},
    "kubernetes-builds": kubernetes.many,
    "daemon": daemon,
    "push": push,
    "comparison": comparison,
}

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, help=__doc__)


@app.command()
def run(  # noqa: PLR0913, PLR0917 - each is an option
    names: Annotated[list[str] | None, typer.Argument(help=f"Which: {', '.join(SET_UPS)}. Default: all.")] = None,
    output: Annotated[Path, typer.Option(help="Where to write the figures.")] = Path(".local/benchmarks.json"),
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each benchmark.")] = 5,
    seconds: Annotated[int, typer.Option(min=1, help="How long one command may take.")] = 900,
    stack: Annotated[str, typer.Option(help="Whose settings the Docker benchmarks take.")] = "offline",
    cluster_stack: Annotated[str, typer.Option(help="Whose settings the Kubernetes benchmarks take.")] = "lab",
    kubeconfig: Annotated[Path, typer.Option(help="The cluster's.")] = CLONE / ".local" / "lab" / "kubeconfig",
    repository: Annotated[str, typer.Option(help="A git repository for `push`, whose branch main is written.")] = "",
    tcp: Annotated[str, typer.Option(help="An engine on another machine, tcp://host:2376.")] = "",
    tcp_certificates: Annotated[Path, typer.Option(help="The folder of its ca.pem, cert.pem, key.pem.")] = Path(),
) -> None:
    """Measure; write the figures of every round as JSON, and print the tables."""
    if unknown := {*(names or ())} - {*SET_UPS}:
        raise BenchmarkError(f"there is no benchmark {', '.join(unknown)}; give one of {', '.join(SET_UPS)}")
    figures: dict[str, Any] = {"machine": measure.machine(), "benchmarks": []}
    output.parent.mkdir(parents=True, exist_ok=True)
    for name in names or [each for each in SET_UPS if each != "push" or repository]:
        with tempfile.TemporaryDirectory(prefix="ci-bench-") as folder, contextlib.ExitStack() as cleanup:
            options = Options(
                scratch=Path(folder), stack=stack, cluster_stack=cluster_stack, kubeconfig=kubeconfig.resolve(),
                repository=repository, tcp=tcp, tcp_certificates=tcp_certificates.resolve(),
            )  # fmt: skip
            for each in SET_UPS[name](options, cleanup):
                about = {"name": each.name, "title": each.title, "goals": each.goals, "skipped": each.skipped}
                figures["benchmarks"].append({**about, "rounds": measure.rounds(each, rounds, seconds, _say)})
                output.write_text(f"{json.dumps(figures, indent=1)}\n", encoding="utf-8")
    print(report.whole(figures))  # noqa: T201 - the answer


@app.command("report")
def render(
    figures: Annotated[Path, typer.Argument(help="What `run` has written.")],
    page: Annotated[Path | None, typer.Option(help="A Markdown page whose marked tables are replaced.")] = None,
    chart: Annotated[Path | None, typer.Option(help="An .svg or .png file for a chart of the times.")] = None,
) -> None:
    """Print the tables, or write them into a page; draw a chart."""
    found = json.loads(figures.read_text(encoding="utf-8"))
    if page:
        page.write_text(report.filled(page.read_text(encoding="utf-8"), found), encoding="utf-8")
    else:
        print(report.whole(found))  # noqa: T201 - the answer
    if chart:
        report.chart(found["benchmarks"], chart)


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201 - progress


def main() -> None:
    """Run the command line. 1: a benchmark fails; 2: usage; 130: Ctrl-C."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        app()
    except BenchmarkError as failed:
        _say(f"error: {failed}")
        sys.exit(1)


if __name__ == "__main__":
    main()
