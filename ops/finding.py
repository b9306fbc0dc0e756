"""What `status` and `doctor` found: one line of their tables."""

from collections.abc import Sequence
from typing import Literal, NamedTuple


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
        return f"{self.seen}. {self.remedy}" if self.remedy else self.seen


def status_of(findings: Sequence[Finding]) -> int:
    """Return the exit status of a verb that found this: 1 if one is bad, else 0."""
    return int(any(finding.mark == "BAD" for finding in findings))
