"""What the last update did, from the stack's state. A build that is done is not repeated when its Job is gone."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .. import labels, state

BUILD: Final = "ci:kubernetes:Build"
_JOB: Final = "kubernetes:batch/v1:Job"
_NAMESPACE: Final = "kubernetes:core/v1:Namespace"


@dataclass(frozen=True)
class PushedImage:
    """What a build's last Job pushed."""

    job: str
    """The Job's name."""

    image: str
    """The image, `host/repository@sha256:...`."""

    decides: str | None
    """The hash of what decided it; None if a release up to 0.1.0 built it."""

    pod: Mapping[str, Any]
    """The spec of the Job's pod, as the API has it; empty if the Job is gone."""


@dataclass(frozen=True)
class History:
    """The outputs of the last successful update, and the Jobs of the last update."""

    context: str | None
    """The cluster, as `cluster.named` describes it; None before the first successful update."""

    namespace: str | None
    """The registry's namespace."""

    namespaces: frozenset[str]
    """All namespaces in the state."""

    images: Mapping[str, PushedImage]
    """What was pushed, by the build's name.

    Without builds whose Job a failed update has replaced: the tags may point to what the newer Job pushed.
    """

    volume: str | None
    """The uid of the registry's volume."""

    resources: Sequence[Mapping[str, Any]]
    """The resources of the cluster: `type` and, as the provider keeps them for itself, `inputs`."""


def read(name: str) -> History:
    """Return what the last update left of the CI `name`; everything is empty before the first."""
    last_update = state.of_root(name)
    found, outputs = last_update.resources, last_update.outputs
    images, jobs = outputs.get("images") or {}, outputs.get("builds") or {}
    last = {marks[labels.BUILD]: job for job in _outputs(found, _JOB) if labels.BUILD in (marks := _labels(job))}
    decides = {each["job"]: each["decides"] for each in _outputs(found, BUILD) if {"job", "decides"} <= each.keys()}
    return History(
        context=outputs.get("context"),
        namespace=outputs.get("namespace"),
        namespaces=frozenset((each.get("metadata") or {}).get("name", "") for each in _outputs(found, _NAMESPACE)),
        images={
            build: PushedImage(job, images[build], decides.get(job), _pod(last.get(build) or {}))
            for build, job in jobs.items()
            if build in images and (build not in last or last[build]["metadata"]["name"] == job)
        },
        volume=outputs.get("registryVolume"),
        resources=[
            {"type": each["type"], "inputs": _whole(each["outputs"]["__inputs"])}
            for each in found.values()
            if "__inputs" in (each.get("outputs") or {})
        ],
    )


def _outputs(found: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    """Return the outputs of each resource of a kind in the state."""
    return [each.get("outputs") or {} for each in found.values() if each.get("type") == kind]


def _whole(inputs: Any) -> Any:  # noqa: ANN401 - JSON
    """Return inputs with whole numbers as the API takes them: the engine's numbers all have a decimal point."""
    return json.loads(
        json.dumps(inputs), parse_float=lambda text: int(float(text)) if float(text).is_integer() else float(text)
    )


def _labels(job: Mapping[str, Any]) -> Mapping[str, str]:
    return (job.get("metadata") or {}).get("labels") or {}


def _pod(job: Mapping[str, Any]) -> Mapping[str, Any]:
    return (((job.get("spec") or {}).get("template")) or {}).get("spec") or {}
