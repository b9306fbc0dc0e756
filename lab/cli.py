"""The lab's command line: `python -m lab up | down | status | build`."""

from pathlib import Path
from typing import Annotated

import typer

from lab import cluster, health, kueue, layout, processes
from lab.lab import Lab
from setup import console
from setup.console import OpsError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="One real Kubernetes node in a network namespace of its own.",
)
Data = Annotated[
    Path, typer.Option("--data", help="The folder that the lab keeps its things in; another one gives another lab.")
]


@app.command()
def up(data: Data = layout.DEFAULT_DATA) -> None:
    """Build what is not built yet, and start the lab, unless it is up and well."""
    lab = Lab.at(data)
    if not cluster.up(lab):
        console.note("the lab is up and well already")
    console.table(_facts(lab))


@app.command()
def build() -> None:
    """Build what a lab is made of, and start nothing. A machine that can have no lab is told why, and that is all."""
    try:
        cluster.prepare(kueue.MODULE)
    except OpsError as trouble:
        console.note(f"no lab here, so the tests that need a cluster will be skipped: {trouble}")


@app.command()
def down(data: Data = layout.DEFAULT_DATA) -> None:
    """Take the lab down. What was built stays in the cache, so that the next start takes seconds."""
    lab = Lab.at(data)
    console.note("the lab is down" if cluster.down(lab) else f"there is no lab at {lab.data}")


@app.command()
def status(data: Data = layout.DEFAULT_DATA) -> None:
    """Show how the lab is. Ends with 0 when it is up and well, else with 1."""
    lab = Lab.at(data)
    if not lab.data.exists():
        console.note(f"there is no lab at {lab.data}; to have one: make lab")
        raise typer.Exit(1)
    rows = [(made.name, f"pid {made.pid}" if made.alive else "has ended") for made in processes.known(lab)]
    console.table([*rows, *_facts(lab)])
    problems = health.problems(lab, cluster.EXPECTED)
    for problem in problems:
        console.note(f"error: {problem} (logs: {lab.logs})")
    raise typer.Exit(1 if problems else 0)


def _facts(lab: Lab) -> list[tuple[str, str]]:
    return [
        ("kubeconfig", str(lab.kubeconfig)),
        ("kubectl", str(lab.kubectl)),
        ("node", f"{lab.netns} at {lab.node_address}; this machine is {lab.host_address} to it"),
        ("upstream", f"http://{lab.upstream}: plays the public registry"),
        ("authority", str(lab.ca)),
        ("registries", f"{lab.data}/certs.d/<host:port>/hosts.toml"),
        *((f"image {name}", reference) for name, reference in lab.images.items()),
    ]


def main() -> None:
    """Run the command line; what a user has to put right is shown without a traceback."""
    console.run(app, "interrupted; what has been started is removed by the next `make lab` or `make lab-down`")
