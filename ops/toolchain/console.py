"""What the tool chain and the operator's verbs say while they work. All of it goes to stderr: stdout is for answers."""

# ruff: noqa: PLC0415, T201 - rich is imported late; this is where things are printed

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from rich.console import Console

HEARTBEAT_SECONDS = 30.0
"""How often a long step says that it is alive where there is no terminal to animate."""

_consoles: dict[str, Console] = {}


class OpsError(Exception):
    """Something that the machine or its user has to put right.

    Args:
        what: what is wrong, one or two sentences, with the thing's name and the value seen (never a secret's).
        remedy: what to do about it, best a command that works as it stands.
        code: the exit status of the verb; 1 for the machine, 2 for usage and settings.
    """

    def __init__(self, what: str, remedy: str = "", *, code: int = 1) -> None:
        """Take the sentences and the exit status."""
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.code = code

    def __str__(self) -> str:
        """What is wrong, and under it what to do."""
        return f"{self.what}\n  {self.remedy}" if self.remedy else self.what


def out() -> Console:
    """The console on stderr; rich is imported at the first call, since a quiet run needs none of it (40 ms)."""
    if "err" not in _consoles:
        from rich.console import Console

        _consoles["err"] = Console(stderr=True, highlight=False, soft_wrap=True)
    return _consoles["err"]


def note(text: str) -> None:
    """Say one plain line."""
    print(text, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds as people say them: `0.4 s`, `38 s`, `3 min 20 s`."""
    if seconds < 10:  # noqa: PLR2004 - from here on a tenth says nothing
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


@contextlib.contextmanager
def step(title: str, expect: str = "", *, log: Path | None = None) -> Iterator[None]:
    """Show a long step: its name, about how long it takes, that it is alive, and how long it took.

    Args:
        title: what is being done, as a phrase ("building the Pulumi CLI from its Go module").
        expect: about how long it takes, for example "about 4 min".
        log: where the output of what runs inside can be followed.
    """
    hints = ", ".join(filter(None, [expect, f"log: {log}" if log else ""]))
    label = f"{title} ({hints})" if hints else title
    started = time.monotonic()
    done = threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            note(f"   still {title}, {duration(time.monotonic() - started)} so far")

    try:
        if sys.stderr.isatty():
            with out().status(label):
                yield
        else:
            note(f"-> {label}")
            threading.Thread(target=beat, daemon=True).start()
            yield
    except BaseException:
        note(f"   failed after {duration(time.monotonic() - started)}: {title}")
        raise
    finally:
        done.set()
    note(f"   done in {duration(time.monotonic() - started)}: {title}")


def may_ask() -> bool:
    """Whether a question can be put: there is a terminal and YES=1 did not answer all of them."""
    return os.environ.get("YES", "") not in {"1", "true", "yes"} and sys.stdin.isatty() and sys.stderr.isatty()


def agreed(question: str) -> bool:
    """Ask for leave to change the machine. With no terminal, or with YES=1, the answer is yes."""
    if not may_ask():
        return True
    sys.stderr.write(f"{question} [Y/n] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"", "y", "yes"}


def table(rows: Iterable[Sequence[str]]) -> None:
    """Print rows to stdout: folded to a terminal's width, one line each in a pipe, for what reads them there."""
    if not sys.stdout.isatty():
        for row in rows:
            print(*(f"{cell:<18}" for cell in row[:-1]), row[-1])
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    Console().print(grid)
