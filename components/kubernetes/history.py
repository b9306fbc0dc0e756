"""What the stack's state says of its builds, so that one that is done stays done whatever becomes of its Job."""

import functools
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi.runtime import rpc
from pulumi.runtime.proto import resource_pb2
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
def _read(monitor: Any) -> History:  # noqa: ANN401 - gRPC's, without a type
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    found = [each for each in _ask(monitor, name) if "outputs" in each]
    outputs: Any = next((each["outputs"] for each in found if each["type"] == _STACK), {})

    def said(key: str) -> Any:  # noqa: ANN401 - an output's value
        return rpc.unwrap_rpc_secret(rpc.deserialize_property(outputs[key])) if key in outputs else None

    images, jobs, last = said("images") or {}, said("builds") or {}, dict(_jobs(found))
    return History(
        context=said("context"),
        namespace=said("namespace"),
        images={job: images[build] for build, job in jobs.items() if build in images and last.get(build, job) == job},
        volume=said("registryVolume"),
    )


def _jobs(found: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Give a build's name and its Job's, for each Job that stands in the state."""
    metas = (each["outputs"]["metadata"] for each in found if each["type"] == _JOB and "metadata" in each["outputs"])
    for meta in metas:
        if "labels" in meta and labels.BUILD in meta["labels"]:
            yield meta["labels"][labels.BUILD], meta["name"]


def _ask(monitor: Any, stack: str) -> list[Any]:  # noqa: ANN401 - as above
    """Give each resource of the state as the engine sends it.

    The SDK's own `invoke` would make a Python object of every value in the state, most of which nobody looks at.
    """
    request = resource_pb2.ResourceInvokeRequest(tok=_READ, args={"stackName": stack}, acceptResources=True)
    for left in reversed(range(_TRIES)):
        try:
            answer = getattr(monitor.Invoke(request), "return")
        except Exception as error:  # gRPC's, with the engine's words in it
            if not left or "failed to load checkpoint" not in str(error):
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return list(answer["outputs"].values()) if "outputs" in answer else []
    raise AssertionError
