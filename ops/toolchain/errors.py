"""The one kind of error that a user is meant to read; shown without a traceback."""

from __future__ import annotations


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


Trouble = OpsError
"""The old name, until every room has taken the new one."""
