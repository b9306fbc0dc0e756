"""What the stack's state says of its builds, so that one that is done stays done whatever becomes of its Job."""

import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi.runtime import invoke
from pulumi.runtime.settings import get_monitor

from components import labels

_READ = "pulumi:pulumi:readStackResourceOutputs"
"""The engine's own function; it answers before a resource is registered, with each resource of the state by URN."""

_STACK: Final = "pulumi:pulumi:Stack"
_JOB: Final = "kubernetes:batch/v1:Job"

_TRIES: Final = 20
_PAUSE_SECONDS: Final = 0.05
"""A backend in files can't be read while the engine writes the state, which it does when an update begins."""


@dataclass(frozen=True)
class History:
    """The outputs of the last update that ended well, and the Jobs of the last one, as far as the program asks."""

    context: str | None
    """Which cluster it was, as `cluster.named` says it; None before the first update that ended well."""

    namespace: str | None
    """The registry's namespace in it."""

    images: Mapping[str, str]
    """By a Job's name, the image that it pushed, `host/repository@sha256:...`.

    Without those that another Job of the same build has followed, in an update that failed for some other reason: the
    tags may be that one's.
    """

    volume: str | None
    """The uid of the volume that the registry kept them on."""


def read() -> History:
    """Give the state of this very stack as the last update left it; nothing before the first.

    The engine reads its whole state for that, so it is asked once in a run.
    """
    return _read(get_monitor())


@functools.lru_cache(maxsize=1)
def _read(_: object) -> History:
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    found = (_ask({"stackName": name}) or {}).get("outputs") or {}
    outputs = next((each.get("outputs") or {} for each in found.values() if each.get("type") == _STACK), {})
    images, jobs = outputs.get("images") or {}, outputs.get("builds") or {}
    last = _jobs(found)
    return History(
        context=outputs.get("context"),
        namespace=outputs.get("namespace"),
        images={job: images[build] for build, job in jobs.items() if build in images and last.get(build, job) == job},
        volume=outputs.get("registryVolume"),
    )


def _jobs(found: Mapping[str, Any]) -> dict[str, str]:
    """Give the name of the Job that stands in the state by its build."""
    metas = [(each.get("outputs") or {}).get("metadata") or {} for each in found.values() if each.get("type") == _JOB]
    return {meta["labels"][labels.BUILD]: meta["name"] for meta in metas if labels.BUILD in (meta.get("labels") or {})}


def _ask(question: Mapping[str, Any]) -> Any:  # noqa: ANN401 - what the engine answers
    for left in reversed(range(_TRIES)):
        try:
            return invoke(_READ, dict(question)).value
        except Exception as error:  # the SDK's own class
            if not left or "failed to load checkpoint" not in str(error):
                raise
            time.sleep(_PAUSE_SECONDS)
    raise AssertionError
