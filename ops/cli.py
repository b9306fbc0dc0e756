"""The command line of the operator's verbs. What a verb does is in a module of its own, imported when it is run."""

# ruff: noqa: FBT002 - Typer's options are defaults

from __future__ import annotations

import enum
import importlib
import os
from pathlib import Path
from typing import Annotated

import typer

from setup import console

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Bring the CI up and look after it. up, preview and down pass unknown options to Pulumi.",
)
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def _answer_all(value: bool) -> bool:  # noqa: FBT001 - Typer's
    if value:
        os.environ["YES"] = "1"
    return value


Stack = Annotated[
    str | None,
    typer.Option("--stack", "-s", help="The stack; by default dev, or offline while that is up in its place."),
]
File = Annotated[
    Path, typer.Option("--file", help="The archive. With make: FILE=/mnt/backup/ci.zip", resolve_path=True)
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.", callback=_answer_all)]


class Form(enum.StrEnum):
    """How a verb prints its answer."""

    TEXT = "text"
    JSON = "json"


def _run(place: str, stack: str | None, *words: object, **options: object) -> None:
    module, _, verb = place.partition(".")
    status = getattr(importlib.import_module(f"ops.{module}"), verb)(stack, *words, **options)
    raise typer.Exit(status or 0)


def _add(verb: str, place: str, text: str, *, asks: bool = False, passes_on: bool = False) -> None:
    """Add a verb that takes no more than a stack, --yes if it asks, and what it passes on to Pulumi."""

    def plain(context: typer.Context, stack: Stack = None) -> None:
        _run(place, stack, *([context.args] if passes_on else []))

    def asking(context: typer.Context, stack: Stack = None, yes: Yes = False) -> None:  # noqa: ARG001 - see Yes
        plain(context, stack)

    app.command(verb, help=text, context_settings=PASS_ON if passes_on else {})(asking if asks else plain)


_add("up", "deploy.up", "Install the prerequisites and deploy.", asks=True, passes_on=True)
_add("preview", "deploy.preview", "Show what `up` would change.", passes_on=True)
_add(
    "down", "deploy.down", "Remove what the stack deployed. Jenkins' home and the registry's images stay.",
    asks=True, passes_on=True,
)  # fmt: skip
_add("doctor", "doctor.show", "Check everything that a stack needs, and say what to do about what is missing.")
_add("sample", "sample.sample", "Show that it works: run Jenkins' sample pipeline, or an image that was built.")
_add(
    "recover", "recover.recover", "Clean up after a Pulumi that was killed: its lock, half-done operations, the state.",
    asks=True,
)  # fmt: skip
_add("env", "settings.env", 'Print what a shell needs for plain `pulumi`: eval "$(.venv/bin/python -m ops env)".')


@app.command()
def status(
    stack: Stack = None,
    form: Annotated[Form, typer.Option("--format", help="With make: FORMAT=json")] = Form.TEXT,
) -> None:
    """Show what is deployed and how it is. Ends with 0 if in order, 1 if it needs a person, 2 if that can't be told."""
    _run("status.show", stack, as_json=form is Form.JSON)


@app.command("set")
def set_(
    key: Annotated[str | None, typer.Argument(help="The setting: ci:jenkins.httpPort, or ci:gitToken.")] = None,
    stack: Stack = None,
    secret: Annotated[bool, typer.Option("--secret", help="Encrypt it. Known secrets always are.")] = False,
) -> None:
    """Set one setting in the stack's file, encrypted if it is a secret. The value is asked for, or read from stdin."""
    _run("settings.set_one", stack, key, secret=secret)


@app.command()
def password(
    stack: Stack = None,
    user: Annotated[str | None, typer.Option("--user", help="A user of ci:jenkins.users.")] = None,
) -> None:
    """Print the administrator's, the registry user's or another user's password, and nothing else."""
    _run("settings.password", stack, user=user)


@app.command()
def backup(file: File, stack: Stack = None) -> None:
    """Write what the stack keeps into one file: Jenkins' home or the registry's images, and the state."""
    _run("backup.backup", stack, file)


@app.command()
def restore(
    file: File,
    stack: Stack = None,
    unsigned: Annotated[bool, typer.Option("--unsigned", help="Take an archive that nobody has signed.")] = False,
    yes: Yes = False,  # noqa: ARG001 - see Yes
) -> None:
    """Put back what `backup` wrote, where there is nothing of it, and deploy."""
    _run("backup.restore", stack, file, unsigned=unsigned)


def main() -> None:
    """Run a verb. What a user has to put right is said without a traceback; 2 is for usage and settings."""
    console.run(app)
