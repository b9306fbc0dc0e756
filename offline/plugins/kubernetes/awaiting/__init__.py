"""When an object is ready, by kind: as the official plugin has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..objects import SKIP_AWAIT, WAIT_FOR, Kind, Object, annotation, is_set
from . import custom
from .deployment import DeploymentAwaiter
from .job import JobAwaiter
from .pod import PodAwaiter
from .service import IngressAwaiter, ServiceAwaiter
from .simple import ClaimAwaiter, QuotaAwaiter, ReplicationControllerAwaiter, SecretAwaiter, VolumeAwaiter
from .statefulset import DaemonSetAwaiter, StatefulSetAwaiter

if TYPE_CHECKING:
    from .base import Awaiter, Make, Scene

_AWAITERS: Final[dict[tuple[str, str], Make]] = {
    ("", "PersistentVolume"): VolumeAwaiter,
    ("", "PersistentVolumeClaim"): ClaimAwaiter,
    ("", "Pod"): PodAwaiter,
    ("", "ReplicationController"): ReplicationControllerAwaiter,
    ("", "ResourceQuota"): QuotaAwaiter,
    ("", "Secret"): SecretAwaiter,
    ("", "Service"): ServiceAwaiter,
    ("apps", "DaemonSet"): DaemonSetAwaiter,
    ("apps", "Deployment"): DeploymentAwaiter,
    ("apps", "StatefulSet"): StatefulSetAwaiter,
    ("batch", "Job"): JobAwaiter,
    ("networking.k8s.io", "Ingress"): IngressAwaiter,
}
# The kinds for which "don't wait" also holds when they are removed.
_REMOVED_WITHOUT_WAITING: Final = frozenset(
    {
        ("", "Namespace"),
        ("", "Pod"),
        ("", "ReplicationController"),
        ("apps", "DaemonSet"),
        ("apps", "Deployment"),
        ("apps", "StatefulSet"),
        ("batch", "Job"),
    }
)


def awaiter_for(scene: Scene) -> Awaiter | None:
    """Give what waits for an object that was made or changed; None when there is nothing to wait for.

    Raises:
        PluginError: `pulumi.com/waitFor` says something that cannot be read.
    """
    if is_set(scene.inputs, SKIP_AWAIT):
        scene.status.tell("Skipping await logic")
        return None
    wanted = annotation(scene.current, WAIT_FOR)
    if wanted:
        return custom.CustomAwaiter(scene, custom.parse(wanted))
    make = _AWAITERS.get(_key(scene.current))
    return make(scene) if make else None


def reader_for(scene: Scene) -> Awaiter | None:
    """Give what judges an object that was read; None when there is nothing to judge."""
    make = _AWAITERS.get(_key(scene.current))
    if make is None or is_set(scene.inputs, SKIP_AWAIT):
        return None
    awaiter = make(scene)
    return awaiter if awaiter.reads else None


def waits_for_deletion(inputs: Object) -> bool:
    """Say whether the removal of an object is waited for."""
    return not (is_set(inputs, SKIP_AWAIT) and _key(inputs) in _REMOVED_WITHOUT_WAITING)


def _key(obj: Object) -> tuple[str, str]:
    kind = Kind.of(obj)
    return kind.group, kind.name
