"""One thing that `doctor` looked at."""

from __future__ import annotations

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    mark: Literal["ok", "note", "BAD"]
    """note: worth knowing, but nothing fails by it, or `make up` sees to it. BAD: somebody has to put it right."""
    seen: str
    remedy: str = ""
