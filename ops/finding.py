"""What `status` and `doctor` found: one line of their tables."""

import re
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from setup import console

_VERB = re.compile(r"`make ([^`=]+(?:=ci:\w+)?)`")  # in what was found, where it lacks the stack's name


class Finding(NamedTuple):
    """One thing that was looked at."""

    name: str
    seen: str
    mark: Literal["ok", "note", "BAD"] = "ok"
    """note: worth knowing, but nothing fails by it, or `make up` sees to it. BAD: somebody has to put it right."""
    remedy: str = ""

    @property
    def told(self) -> str:
        """What was seen, and what to do about it."""
        return f"{self.seen.rstrip('.')}. {self.remedy}" if self.remedy else self.seen


def show(findings: Iterable[Finding], make: Callable[[str], str], *, marks: bool = False) -> int:
    """Print findings to stdout, with what `make` gives for each `make VERB`. Returns 1 if one is bad, else 0."""
    found = list(findings)
    rows = ((each.mark, each.name, _VERB.sub(lambda verb: f"`{make(verb[1])}`", each.told)) for each in found)
    console.table(row if marks else row[1:] for row in rows)
    return int(any(finding.mark == "BAD" for finding in found))
