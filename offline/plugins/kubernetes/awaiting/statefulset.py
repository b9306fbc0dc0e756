"""When a StatefulSet or a DaemonSet is rolled out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..objects import Kind, Object, owned_by, pluck, uid_of
from ..watching import Event, Key
from . import pod
from .base import POD, Awaiter

if TYPE_CHECKING:
    from collections.abc import Mapping


class _PodOwner(Awaiter):
    """A workload that owns its pods itself."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._pods: dict[str, Object] = {}

    def related(self) -> Mapping[Kind, list[Key]]:
        """Give its pods."""
        return {POD: [Key("owner", uid_of(self.scene.current))]}

    def see(self, obj: Object) -> None:
        """Take it as it is: every question is asked of the newest."""
        self.object = obj

    def see_related(self, event: Event) -> None:
        """Look at a pod."""
        if event.change == "DELETED":
            self._pods.pop(uid_of(event.object), None)
        elif owned_by(event.object, uid_of(self.scene.current)):
            self._pods[uid_of(event.object)] = event.object

    def tick(self) -> None:
        """Show what is wrong with its pods."""
        for complaint in self._complaints():
            self.scene.status.tell(complaint, "WARNING")

    def _complaints(self) -> list[str]:
        return [complaint for one in self._pods.values() for complaint in pod.complaints(one)]

    def _status(self, field: str) -> int:
        return int(pluck(self.object, "status", field) or 0)

    def _observed(self) -> bool:
        observed = pluck(self.object, "status", "observedGeneration")
        return observed is not None and observed >= self._generation()

    def _generation(self) -> int:
        return int(pluck(self.object, "metadata", "generation") or 0)

    def _strategy(self) -> str:
        return str(pluck(self.object, "spec", "updateStrategy", "type") or "")


class StatefulSetAwaiter(_PodOwner):
    """A StatefulSet is ready when all of its pods are, and are of its newest revision."""

    def ready(self) -> bool:
        """Say whether the rollout is over."""
        if self._replicas_ready() and self._revision_ready():
            self.scene.status.tell("✅ StatefulSet initialization complete")
            return True
        counts = f"({self._current()}/{self._wanted()} Pods ready)"
        if self._generation() <= 1:
            self.scene.status.tell(f"[1/2] Waiting for StatefulSet to create Pods {counts}")
        elif not self._replicas_ready():
            self.scene.status.tell(f"[1/3] Waiting for StatefulSet update to roll out {counts}")
        else:
            self.scene.status.tell("[2/3] Waiting for StatefulSet to update .status.currentRevision")
        return False

    def reasons(self) -> list[str]:
        """Give what its pods and its controller have not done."""
        found = []
        if not self._replicas_ready():
            found.append(f"{self._current()} out of {self._wanted()} replicas succeeded readiness checks")
        if not self._revision_ready():
            old, new = (pluck(self.object, "status", f"{which}Revision") or "" for which in ("current", "update"))
            found.append(f'StatefulSet controller failed to advance from revision "{old}" to revision "{new}"')
        return found + self._complaints()

    def _by_hand(self) -> bool:
        return self._generation() > 1 and self._strategy() == "OnDelete"

    def _wanted(self) -> int:
        return int(pluck(self.object, "spec", "replicas") or 0)

    def _current(self) -> int:
        ready = self._status("readyReplicas")
        return ready if self._revision_ready() else min(ready, self._status("updatedReplicas"))

    def _replicas_ready(self) -> bool:
        fields = ["replicas", "readyReplicas"] + ([] if self._by_hand() else ["currentReplicas"])
        return self._observed() and all(self._status(field) == self._wanted() for field in fields)

    def _revision_ready(self) -> bool:
        if not self._observed():
            return False
        current = pluck(self.object, "status", "currentRevision")
        return self._by_hand() or (bool(current) and current == pluck(self.object, "status", "updateRevision"))


class DaemonSetAwaiter(_PodOwner):
    """A DaemonSet is ready when every node that it wants has its newest pod."""

    def ready(self) -> bool:
        """Say whether the rollout is over."""
        wanted = self._status("desiredNumberScheduled")
        if not self._observed():
            return False
        # Also where a pod is only replaced when someone deletes it: then the waiting is for that.
        if all(self._status(field) >= wanted for field in ("updatedNumberScheduled", "numberAvailable", "numberReady")):
            return True
        counts = f"({self._status('updatedNumberScheduled')} of {wanted} updated, {self._status('numberReady')} ready)"
        self.scene.status.tell(f"Waiting for DaemonSet rollout to finish {counts}")
        return False

    def reasons(self) -> list[str]:
        """Give what is missing."""
        wanted = self._status("desiredNumberScheduled")
        return [f"{self._status('numberReady')} out of {wanted} Pods became ready", *self._complaints()]
