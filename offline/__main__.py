"""`python -m offline`: what `ops` runs, as a process of its own, where an official part can't be had."""

from pathlib import Path

import typer

from setup import console

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, help=__doc__)


@app.command()
def images(host: str, names: list[str]) -> None:
    """Put stand-in images on a Docker engine, made first where need be."""
    from offline import images as made  # noqa: PLC0415 - the docker SDK

    made.ensure(host, names)


@app.command()
def cli(folder: Path) -> None:
    """Build the Pulumi CLI from its Go module to `bin/pulumi` of a folder."""
    from offline import toolchain  # noqa: PLC0415

    toolchain.build_cli(folder)


@app.command()
def bundle(folder: Path, pulumi: Path, lacking: list[str]) -> None:
    """Put into an empty folder what a CLI lacks, of `host`, `docker` and `kubernetes`, and a `pulumi` that has it."""
    from offline import toolchain  # noqa: PLC0415

    toolchain.bundle(folder, pulumi, lacking)


console.run(app)
