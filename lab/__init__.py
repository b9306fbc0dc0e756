"""The lab: one real Kubernetes node in a network namespace of its own, from sources that package mirrors serve."""

# ruff: noqa: PLC0415 - the enforcer of NetworkPolicies is in this package too, and needs none of what the lab imports

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from lab.lab import Lab


def ensure(data: Path | None = None) -> Lab:
    """The lab whose data is in a folder, by default `.local/lab` of the clone; brought up if it is not.

    Raises:
        Trouble: when it can't be, with what to do.
    """
    from lab import lab

    return lab.ensure(data)
