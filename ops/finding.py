"""What `status` and `doctor` found: one line of their tables, and the same as data."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

import pydantic

from setup import console

_VERB = re.compile(r"`make ([^`=]+(?:=ci:\w+)?)`")  # in what was found, where it lacks the stack's name
_OF_BUILD = re.compile(r"(?:build|schedule|push) (.+)")

Mark = Literal["ok", "note", "BAD", "unknown"]


class Finding(NamedTuple):
    """One thing that was looked at."""

    name: str
    seen: str
    mark: Mark = "ok"
    """note: worth knowing, but nothing fails by it, or `make up` sees to it. BAD: somebody has to put it right.
    unknown: it could not be looked at."""
    remedy: str = ""

    @property
    def told(self) -> str:
        """What was seen, and what to do about it."""
        return f"{self.seen.rstrip('.')}. {self.remedy}" if self.remedy else self.seen


class Row(pydantic.BaseModel):
    """A finding as data."""

    name: str
    """What was looked at, as in the table: `build website`, `registry pod`. The same in each release."""
    build: str | None
    """The build's name in the stack's file, if it is about one."""
    mark: Literal["ok", "note", "bad", "unknown"]
    seen: str
    remedy: str
    """Texts for people. They may change in each release."""


class Report(pydantic.BaseModel):
    """What `make status FORMAT=json` prints. Keys are added within a version, and never changed or removed."""

    version: Literal[1] = 1
    stack: str
    state: Literal["ok", "bad", "unknown"]
    """Goes with the exit code: 0, 1, 2."""
    findings: list[Row]


def code(findings: Iterable[Finding]) -> int:
    """Return the exit code of findings: 1 if something needs a person, else 2 if something can't be told, else 0."""
    marks = {each.mark for each in findings}
    return 1 if "BAD" in marks else 2 * ("unknown" in marks)


def report(stack: str, findings: Sequence[Finding], make: Callable[[str], str]) -> Report:
    """Return findings as data, with what `make` gives for each `make VERB`."""
    rows = []
    for each in findings:
        about, mark = _OF_BUILD.fullmatch(each.name), "bad" if each.mark == "BAD" else each.mark
        seen, remedy = (_for_stack(text, make) for text in (each.seen, each.remedy))
        rows.append(Row(name=each.name, build=about[1] if about else None, mark=mark, seen=seen, remedy=remedy))
    return Report(stack=stack, state=("ok", "bad", "unknown")[code(findings)], findings=rows)


def show(findings: Iterable[Finding], make: Callable[[str], str], *, marks: bool = False) -> int:
    """Print findings to stdout, with what `make` gives for each `make VERB`. Returns their exit code."""
    found = list(findings)
    rows = ((each.mark, each.name, _for_stack(each.told, make)) for each in found)
    console.table(row if marks else row[1:] for row in rows)
    return code(found)


def _for_stack(text: str, make: Callable[[str], str]) -> str:
    return _VERB.sub(lambda verb: f"`{make(verb[1])}`", text)
