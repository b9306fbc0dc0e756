"""What the stack's last update said of its builds, so that one that is done stays done whatever becomes of its Job."""

import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi.runtime import invoke
from pulumi.runtime.settings import get_monitor

_READ = "pulumi:pulumi:readStackOutputs"
"""The engine's own function behind StackReference; called as it is, it answers before a resource is registered."""

_TRIES: Final = 20
_PAUSE_SECONDS: Final = 0.05
"""A backend in files can't be read while the engine writes the state, which it does when an update begins."""


@dataclass(frozen=True)
class History:
    """The last update's outputs, as far as the program asks for them."""

    context: str | None
    """Which cluster it was, as `cluster.named` says it; None before the first update that ended well."""

    namespace: str | None
    """The registry's namespace in it."""

    images: Mapping[str, str]
    """By a Job's name, the image that it pushed, `host/repository@sha256:...`."""

    volume: str | None
    """The uid of the volume that the registry kept them on."""


def read() -> History:
    """Give the outputs of this very stack as the last successful update left them; none before the first.

    The engine reads its whole state for that, so it is asked once in a run.
    """
    return _read(get_monitor())


@functools.lru_cache(maxsize=1)
def _read(_: object) -> History:
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    outputs = (_ask({"name": name}) or {}).get("outputs") or {}
    images, jobs = outputs.get("images") or {}, outputs.get("builds") or {}
    return History(
        context=outputs.get("context"),
        namespace=outputs.get("namespace"),
        images={job: images[build] for build, job in jobs.items() if build in images},
        volume=outputs.get("registryVolume"),
    )


def _ask(question: Mapping[str, Any]) -> Any:  # noqa: ANN401 - what the engine answers
    for left in reversed(range(_TRIES)):
        try:
            return invoke(_READ, dict(question)).value
        except Exception as error:  # the SDK's own class
            if not left or "failed to load checkpoint" not in str(error):
                raise
            time.sleep(_PAUSE_SECONDS)
    raise AssertionError
