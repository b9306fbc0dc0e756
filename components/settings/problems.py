"""A problem with a stack's settings: its key, a stable code, the value, what is wrong, and what works instead."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import pulumi

HIDDEN: Final = object()
"""Stands for a value that a message must not show: a secret, or what may be one under a wrong key."""

_LONGEST_VALUE: Final = 80
_LONGEST_PART: Final = 600
"""Characters of a value, and of each other part of a problem, that a message shows."""

MOST_PROBLEMS: Final = 100
"""How many problems one message lists."""

Code = Literal[
    # Step 1: one field by itself.
    "unknown_key",  # no such setting
    "missing",  # a field without a default
    "wrong_type",  # text for a number, a list for a map
    "not_accepted",  # outside of the range, the choices or the grammar
    "one_of",  # a map that takes exactly one of its keys
    "secret_in_clear",  # a secret that was set without --secret
    # Step 2: a rule between two settings.
    "required",  # needed because of another setting
    "no_effect",  # nothing reads it, because of another setting
    "conflict",  # excludes another setting
    "duplicate",  # a name, port or tag that another setting has
    "not_confirmed",  # a risk that another setting must confirm: public, plainHttp, acceptRootOnHost
    "vulnerable",  # a release with a known hole
    "too_small",  # less than what other settings need
    # Step 3: preflight, on the engine, in the cluster and in files.
    "unreachable",  # the engine or the cluster does not answer
    "name_taken",  # somebody else's container, volume, network or namespace has this name
    "not_in_state",  # what the stack made, but its state does not know
    "half_restored",  # a volume that a restore did not fill to its end
    "in_use",  # a container of another stack uses the volume
    "by_hand",  # a container of the stack that somebody paused, or cut off from its network
    "port_in_use",
    "address_not_on_host",
    "not_found",  # a file, a program, a socket, a Secret or a class that is not there
    "bad_file",  # a file that cannot be read, or holds something else
    "bad_certificate",  # expired, of another authority, or for another key
    "too_large",  # a build context
    "too_old",  # a version that lacks what is needed
]
"""What is wrong, for programs and tests. The sentences may change; a code does not."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a stack's settings, or with the host or cluster that they name."""

    key: str
    """The key as the user typed it, for example `ci:jenkins.httpPort` or `ci:jobs[0].name`."""

    code: Code
    wrong: str
    """What is wrong, as the rest of a sentence that begins with the key."""

    instead: str
    """What is accepted, with at least one value or command that works."""

    value: object = HIDDEN
    """The value seen, or HIDDEN."""

    def __str__(self) -> str:
        """Return the problem as one line."""
        key, wrong, instead = (_clip(part, _LONGEST_PART) for part in (self.key, self.wrong, self.instead))
        if self.value is not HIDDEN:
            key += f" = {_clip(json.dumps(self.value, ensure_ascii=False, default=str), _LONGEST_VALUE)}"
        return f"{key} {wrong}; {instead}"


def _clip(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}..."


def required(key: str, why: str, instead: str) -> Problem:
    """Return the problem of a setting that another one needs."""
    return Problem(key, "required", f"is required {why}", instead)


def no_effect(key: str, why: str, instead: str = "remove it") -> Problem:
    """Return the problem of a setting that nothing reads."""
    return Problem(key, "no_effect", f"has no effect {why}", instead)


def duplicate(key: str, value: object, other: str, instead: str) -> Problem:
    """Return the problem of a value that another setting has too."""
    return Problem(key, "duplicate", f"is already used by {other}", instead, value)


class SettingsError(pulumi.RunError):
    """A stack's settings are wrong. The text lists the problems; Pulumi prints it without a traceback."""

    def __init__(self, stack: str, problems: Iterable[Problem]) -> None:
        """Make the error for one stack from its problems, of which there is at least one."""
        self.problems: Sequence[Problem] = tuple(problems)
        count = len(self.problems)
        many = " or more" if count >= MOST_PROBLEMS else ""
        lines = "".join(f"\n  - {problem}" for problem in self.problems[:MOST_PROBLEMS])
        super().__init__(
            f"the settings of stack {stack!r} have {min(count, MOST_PROBLEMS)}{many} problem{'s' * (count != 1)}; "
            f"nothing was changed:{lines}"
        )


class NotAcceptedError(ValueError):
    """A value is refused by itself. `code`, `wrong` and `instead` as in `Problem`."""

    def __init__(self, wrong: str, instead: str, code: Code = "not_accepted") -> None:
        """Keep what is wrong and what is accepted."""
        super().__init__(f"{wrong}; {instead}")
        self.wrong, self.instead, self.code = wrong, instead, code
