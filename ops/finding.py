"""What `status` and `doctor` found: one line of their tables."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from ops.toolchain import console


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


def show(findings: Iterable[Finding], up: str = "make up", *, marks: bool = False) -> int:
    """Print findings to stdout, with `up` for `make up`. Returns an exit status: 1 if one is bad, else 0."""
    found = list(findings)
    told = ((each.mark, each.name, each.told.replace("`make up`", f"`{up}`")) for each in found)
    console.table(row if marks else row[1:] for row in told)
    return int(any(finding.mark == "BAD" for finding in found))
