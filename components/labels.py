"""The labels by which a stack knows what it made, on a Docker host and in a cluster."""

from collections.abc import Mapping
from typing import Final

PROJECT: Final = "ci.project"
STACK: Final = "ci.stack"

BUILD: Final = "ci/build"
"""The label that holds a build's name, on its Jobs and pods."""


def of(project: str, stack: str) -> dict[str, str]:
    """Give the labels of everything that one stack makes."""
    return {PROJECT: project, STACK: stack}


def owner(labels: Mapping[str, str] | None) -> str | None:
    """Say whose a thing with these labels is, as `project/stack`; None where no stack made it."""
    if not labels or PROJECT not in labels or STACK not in labels:
        return None
    return f"{labels[PROJECT]}/{labels[STACK]}"
