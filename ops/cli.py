"""The command line of the operator's verbs. What a verb does is in a module of its own, imported when it is run."""

# ruff: noqa: FBT002 - Typer's options are defaults

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Annotated

import typer

from ops.toolchain import console

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Bring the CI up and look after it. Unknown options are passed to Pulumi.",
)
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def _answer_all(value: bool) -> bool:  # noqa: FBT001 - Typer's
    if value:
        os.environ["YES"] = "1"
    return value


Stack = Annotated[
    str | None,
    typer.Option("--stack", "-s", help="The stack; by default the one that is up, else dev."),
]
File = Annotated[
    Path, typer.Option("--file", help="The archive. With make: FILE=/mnt/backup/ci.zip", resolve_path=True)
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.", callback=_answer_all)]


def _run(module: str, verb: str, stack: str | None, *words: object, **options: object) -> None:
    status = getattr(importlib.import_module(f"ops.{module}"), verb)(stack, *words, **options)
    raise typer.Exit(status or 0)


@app.command(context_settings=PASS_ON)
def up(context: typer.Context, stack: Stack = None, yes: Yes = False) -> None:
    """Install the prerequisites and deploy."""
    _run("deploy", "up", stack, yes=yes, words=context.args)


@app.command(context_settings=PASS_ON)
def preview(context: typer.Context, stack: Stack = None) -> None:
    """Show what `up` would change."""
    _run("deploy", "preview", stack, context.args)


@app.command(context_settings=PASS_ON)
def down(context: typer.Context, stack: Stack = None, yes: Yes = False) -> None:
    """Remove what the stack deployed. Jenkins' home and the registry's images stay."""
    _run("deploy", "down", stack, yes=yes, words=context.args)


@app.command()
def status(stack: Stack = None) -> None:
    """Show what is deployed and how it is."""
    _run("status", "show", stack)


@app.command()
def doctor(stack: Stack = None) -> None:
    """Check everything that a stack needs of machine and cluster, and say what to do about what is missing."""
    _run("doctor", "show", stack)


@app.command()
def password(stack: Stack = None) -> None:
    """Print the administrator's or the registry user's password, and nothing else, to stdout."""
    _run("settings", "password", stack)


@app.command()
def sample(stack: Stack = None) -> None:
    """Show that it works: run Jenkins' sample pipeline, or a pod of an image that was built, and follow it."""
    _run("sample", "sample", stack)


@app.command("set")
def set_(
    key: Annotated[str | None, typer.Argument(help="The setting: ci:jenkins.httpPort, or ci:gitToken.")] = None,
    stack: Stack = None,
    secret: Annotated[bool, typer.Option("--secret", help="Encrypt it. Known secrets always are.")] = False,
) -> None:
    """Set one setting in the stack's file, encrypted if it is a secret. The value is asked for, or read from stdin."""
    _run("settings", "set_one", stack, key, secret=secret)


@app.command()
def recover(stack: Stack = None, yes: Yes = False) -> None:
    """Clean up after a Pulumi that was killed: its lock, half-done operations, what it no longer knows."""
    _run("recover", "recover", stack, yes=yes)


@app.command()
def backup(file: File, stack: Stack = None) -> None:
    """Write what the stack keeps into one file: Jenkins' home or the registry's images, and the state."""
    _run("backup", "backup", stack, file)


@app.command()
def restore(file: File, stack: Stack = None, yes: Yes = False) -> None:
    """Put back what `backup` wrote, where there is nothing of it, and deploy."""
    _run("backup", "restore", stack, file, yes=yes)


@app.command()
def env(stack: Stack = None) -> None:
    """Print what a shell needs for plain `pulumi`: eval "$(.venv/bin/python -m ops env)"."""
    _run("settings", "env", stack)


def main() -> None:
    """Run a verb. What a user has to put right is said without a traceback; 2 is for usage and settings."""
    console.run(app)
