"""The labels of what a stack makes, on a Docker host and in a cluster."""

from collections.abc import Mapping
from typing import Final

PREFIX: Final = "pulumi-container-ci"

PROJECT: Final = f"{PREFIX}/project"
STACK: Final = f"{PREFIX}/stack"

OWNER: Final = f"{PREFIX}/owner"
"""The random id of the stack's state, on a Docker host. Two clones can have a stack of the same name on one engine."""

BUILD: Final = f"{PREFIX}/build"
"""A build's name, on its Jobs and pods."""

BRANCH: Final = f"{PREFIX}/branch"
"""Of a Job that a push started: the first 12 hexadecimal digits of the SHA-256 of the branch's name."""

COMMIT: Final = f"{PREFIX}/commit"
COMMIT_TAG: Final = f"{PREFIX}/commit-tag"
BRANCH_TAG: Final = f"{PREFIX}/branch-tag"
"""Annotations of such a Job's pod: the commit's 40 digits, and the tags of the image."""

QUEUE: Final = "kueue.x-k8s.io/queue-name"
"""Kueue's own label: the queue that a Job waits in."""

FILES: Final = f"{PREFIX}/files"
CERTIFICATE: Final = f"{PREFIX}/certificate"
VOLUME: Final = f"{PREFIX}/registry-volume"
POD: Final = f"{PREFIX}/pod"
"""Annotations of a pod, the last of its Service, in a cluster. Each changes with what the pod must be replaced for."""

RESTORE: Final = f"{PREFIX}/restore"
"""On a volume that was made for a restore: the archive's id."""

RESTORED: Final = f"{PREFIX}/restored"
"""The same as an annotation, once the restore has filled a claim."""

RESTORED_FILE: Final = ".restored-"
"""How the name of the last file begins that a restore writes; the archive's id follows."""

HELPER: Final = f"{PREFIX}/helper"
"""On a container that never runs, by which a backup reads a volume: the stack, as `project/stack`."""

APP: Final = "app.kubernetes.io/name"
"""Kubernetes' own label for what a pod is. Network policies and Services select pods by it."""

PART: Final = {"app.kubernetes.io/part-of": "ci"}

_FORMER: Final = {PROJECT: "ci.project", STACK: "ci.stack"}
"""Earlier names. Volumes that were made with them keep them, and must be recognised."""

OWN: Final = (f"{PREFIX}/", *_FORMER.values())
"""What only a stack may give: all labels below the first, and the others."""


def of(project: str, stack: str) -> dict[str, str]:
    """Return the labels of everything that one stack makes."""
    return {PROJECT: project, STACK: stack}


def owner(labels: Mapping[str, str] | None) -> str | None:
    """Return whose a thing with these labels is, as `project/stack`, or None if no stack made it."""
    found = [(labels or {}).get(name, (labels or {}).get(former)) for name, former in _FORMER.items()]
    return None if None in found else "/".join(map(str, found))
