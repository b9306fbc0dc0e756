"""How a wrong setting is reported: the key as typed, the value seen, what is wrong, and what to write."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi

HIDDEN: Final = object()
"""Stands for a value that a message must not show: a secret's, or one that may be a secret under a wrong name."""

_LONGEST_VALUE: Final = 80
"""Characters of a value that a message shows. Enough to recognise it, short enough to keep the message on two lines."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong with a stack's settings, or with the host that they name."""

    key: str
    """The key as the user typed it, for example `ci:jenkins.httpPort` or `ci:jobs[0].name`."""

    wrong: str
    """What is wrong, as the rest of a sentence that begins with the key."""

    instead: str
    """What is accepted, with at least one value or command that works."""

    value: object = HIDDEN
    """The value seen, or HIDDEN."""

    def __str__(self) -> str:
        """Give the problem as one line."""
        return f"{self.key}{self._seen()} {self.wrong}; {self.instead}"

    def _seen(self) -> str:
        if self.value is HIDDEN:
            return ""
        text = json.dumps(self.value, ensure_ascii=False, default=str)
        if len(text) > _LONGEST_VALUE:
            text = text[:_LONGEST_VALUE] + "..."
        return f" = {text}"


class SettingsError(pulumi.RunError):
    """A stack's settings are wrong. The text lists every problem; Pulumi prints it without a traceback."""

    def __init__(self, stack: str, problems: Iterable[Problem]) -> None:
        """Make the error for one stack from its problems, of which there is at least one."""
        self.problems: Sequence[Problem] = tuple(problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        super().__init__(f"the settings of stack {stack!r} have {count}; nothing was changed:{lines}")


class NotAcceptedError(ValueError):
    """Raised by a field's check: what is wrong, and what to write instead, both as in `Problem`."""

    def __init__(self, wrong: str, instead: str) -> None:
        """Keep both halves, so that the report can put the key and the value around them."""
        super().__init__(f"{wrong}; {instead}")
        self.wrong = wrong
        self.instead = instead
