"""The queue that bounds how many builds run at one time. Kueue works it; its controllers are the cluster's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pulumi
import yaml

from .. import labels
from ..settings import KubernetesSettings
from .namespaces import of_builds

API: Final = "kueue.x-k8s.io/v1beta2"
"""Served by Kueue 0.15 and newer. Source: the CRDs in Kueue's releases."""

NAME: Final = "builds"
"""The LocalQueue's name. Into one that is called `default`, Kueue would put Jobs without a queue."""

_OBJECTS: Final = Path(__file__).with_name("queue.yaml")
_READY_SECONDS: Final = 60
"""How long an update waits until Kueue has taken up the queue, which takes it a second."""


class Queue(pulumi.ComponentResource):
    """A queue for the builds' namespace alone: first in, first out, so many pods at one time."""

    def __init__(self, name: str, settings: KubernetesSettings, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the LocalQueue that Jobs name, the ClusterQueue behind it, and the flavor that this must have."""
        # Imported here: no other stack should pay for it.
        from pulumi_kubernetes import apiextensions  # noqa: PLC0415

        pods, after = str(settings.parallel_builds), list[pulumi.Resource]()
        super().__init__("ci:kubernetes:Queue", name, {"pods": pods}, opts)
        text = _OBJECTS.read_text(encoding="utf-8")
        text = text.replace("@namespace@", of_builds(settings.namespace)).replace("@pods@", pods)
        for role, inputs in yaml.safe_load(text).items():
            options = pulumi.ResourceOptions(
                parent=self, depends_on=after, custom_timeouts=pulumi.CustomTimeouts(create=f"{_READY_SECONDS}s")
            )
            after = [apiextensions.CustomResource(f"{name}-{role}", api_version=API, opts=options, **inputs)]
        self.register_outputs({})


def of_jobs(settings: KubernetesSettings) -> Mapping[str, str]:
    """Return the label that puts a Job into the queue; nothing without one."""
    return {labels.QUEUE: NAME} if settings.parallel_builds is not None else {}
