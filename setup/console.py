"""What is said on the terminal: notes, long steps, questions, tables, errors. On stderr: stdout is for answers."""

# ruff: noqa: PLC0415, T201 - rich is imported late, since a quiet run needs none of it; this is where things are printed

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import threading
import time
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from rich.console import Console


HEARTBEAT_SECONDS = 30.0
"""How often a long step says that it is alive."""


class OpsError(Exception):
    """What the machine or its user has to put right; shown without a traceback.

    `what` is wrong: one or two sentences with the thing's name and the value seen, never a secret's. `remedy`: what to
    do, best a command that works as it stands. `code`: the verb's exit status, 1 for the machine, 2 for usage and
    settings.
    """

    def __init__(self, what: str, remedy: str = "", *, code: int = 1) -> None:
        """Take the sentences and the exit status."""
        super().__init__(f"{what}\n  {remedy}" if remedy else what)
        self.what, self.remedy, self.code = what, remedy, code


def run(command: Callable[[], object], interrupted: str = "stopped") -> None:
    """Run a command line. An OpsError is said without a traceback and gives the exit status; Ctrl-C gives 130.

    So is what the system refuses, as on a full disk or in a folder that this user may not write to.
    """
    try:
        command()
    except OpsError as error:
        note(f"error: {error}")
        sys.exit(error.code)
    except OSError as error:
        note(f"error: {f'{error.filename}: {error.strerror}' if error.filename else error}")
        sys.exit(1)
    except KeyboardInterrupt:
        note(interrupted)
        sys.exit(130)


def out() -> Console:
    """The console on stderr."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def note(text: str) -> None:
    """Say one plain line."""
    print(f"{text}\n", end="", file=sys.stderr, flush=True)  # in one piece: two builds may speak at one time


@contextlib.contextmanager
def step(title: str, expect: str = "", *, log: Path | None = None) -> Iterator[None]:
    """Show a long step: its name, about how long it takes, where its log is, that it is alive, how long it took."""
    hints = ", ".join(filter(None, [expect, f"log: {log}" if log else ""]))
    note(f"-> {title} ({hints})" if hints else f"-> {title}")
    started, done, ended = time.monotonic(), threading.Event(), "failed after"

    def beat() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            note(f"   still {title}, {time.monotonic() - started:.0f} s so far")

    beating = threading.Thread(target=beat, daemon=True)
    beating.start()
    try:
        yield
        ended = "done in"
    finally:
        done.set()
        beating.join()  # or two lines could mix
        note(f"   {ended} {time.monotonic() - started:.1f} s: {title}")


def yes() -> bool:
    """Return whether YES=1, or --yes, has answered each question."""
    return os.environ.get("YES", "") in {"1", "true", "yes"}


def require_terminal(question: str) -> None:
    """Raise OpsError, as Pulumi does, with the command to type where there is neither a terminal nor YES=1."""
    if not (yes() or (sys.stdin.isatty() and sys.stderr.isatty())):
        command = f"{shlex.join(['.venv/bin/python', '-m', 'ops', *sys.argv[1:]])} --yes"
        raise OpsError(f"{question} There is no terminal to ask on.", f"To agree: {command}; with make: YES=1", code=2)


def agreed(question: str) -> bool:
    """Ask for leave to change something. With YES=1 the answer is yes. Raises OpsError without a terminal."""
    require_terminal(question)
    return yes() or typer.confirm(question, default=True, err=True)


def table(rows: Iterable[Sequence[str]]) -> None:
    """Print rows to stdout: folded to a terminal's width, one line each in a pipe, for what reads them there."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    for row in rows:
        grid.add_row(*map(Text, row))
    Console(width=None if sys.stdout.isatty() else 10_000).print(grid)
