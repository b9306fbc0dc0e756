"""When a Deployment is rolled out: its newest ReplicaSet has the pods that it wants, and its claims are bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..merge import same
from ..objects import Kind, Object, annotation, name_of, owned_by, pluck, uid_of
from ..watching import Event, Key
from . import pod
from .base import POD, Awaiter

if TYPE_CHECKING:
    from collections.abc import Mapping

_REVISION: Final = "deployment.kubernetes.io/revision"
_HASH: Final = "pod-template-hash"
_REPLICA_SET: Final = Kind("apps", "v1", "ReplicaSet")
_CLAIM: Final = Kind("", "v1", "PersistentVolumeClaim")


class DeploymentAwaiter(Awaiter):
    """A Deployment is ready when its present revision is available."""

    def __init__(self, *arguments: Any) -> None:
        """Start with nothing known."""
        super().__init__(*arguments)
        self._conditions: dict[str, Object] = {}
        self._observed = False
        self._replica_sets: dict[str, Object] = {}
        self._pods: dict[str, Object] = {}
        self._claims: dict[str, Object] = {}

    def related(self) -> Mapping[Kind, list[Key]]:
        """Give its ReplicaSets, all pods (whose ReplicaSet may not be known yet when they come), and its claims."""
        claims = [Key("name", name) for name in self._claim_names()]
        wanted = {_REPLICA_SET: [Key("owner", uid_of(self.scene.current))], POD: [Key("all")]}
        return {**wanted, _CLAIM: claims} if claims else wanted

    def see(self, obj: Object) -> None:
        """Look at its conditions, once the controller has seen this generation of it."""
        observed = pluck(obj, "status", "observedGeneration")
        self._observed = observed is not None and observed >= (pluck(obj, "metadata", "generation") or 0)
        if not self._observed:
            return
        self._conditions = {one.get("type", ""): one for one in pluck(obj, "status", "conditions") or ()}
        for text in self._failing():
            self.scene.status.tell(text, "WARNING")

    def see_related(self, event: Event) -> None:
        """Look at a ReplicaSet, a pod or a claim."""
        found, gone = event.object, event.change == "DELETED"
        kept = {_REPLICA_SET: self._replica_sets, POD: self._pods, _CLAIM: self._claims}[event.kind]
        if event.kind == _REPLICA_SET and not owned_by(found, uid_of(self.scene.current)):
            return
        if event.kind == _CLAIM and name_of(found) not in self._claim_names():
            return
        if gone:
            kept.pop(uid_of(found), None)
        else:
            kept[uid_of(found)] = found

    def ready(self) -> bool:
        """Say whether the rollout is over."""
        newest = self._newest()
        if newest is None or not self._observed:
            return False
        # The Deployment's live number, which is that of `kubectl scale` or of an autoscaler if there is one.
        wanted = pluck(self.object, "spec", "replicas")
        wanted = 1 if wanted is None else wanted
        there = pluck(newest, "status", "readyReplicas") or 0
        available = self._is_true("Available") and (self._first() or self._rolled_out())
        if not (available and there >= wanted and not self._unbound()):
            words = f"Waiting for app ReplicaSet to be available ({there}/{wanted} Pods available)"
            self.scene.status.tell(words)
            return False
        if wanted == 0:
            self.scene.status.tell(f'Replicas scaled to 0 for Deployment "{name_of(self.object)}"', "WARNING")
        self.scene.status.tell("✅ Deployment initialization complete")
        return True

    def tick(self) -> None:
        """Show what is wrong with its pods."""
        for complaint in self._complaints():
            self.scene.status.tell(complaint, "WARNING")

    def reasons(self) -> list[str]:
        """Give what its conditions, claims and pods say."""
        found = self._failing()
        unbound = self._unbound()
        if unbound:
            found.append(f'Failed to bind PersistentVolumeClaim(s): "{",".join(unbound)}"')
        if not self._is_true("Available"):
            found.append("Minimum number of live Pods was not attained")
        elif self._first() or not self._rolled_out():
            found.append("Minimum number of Pods to consider the application live was not attained")
        else:
            text = "Attempted to roll forward to new ReplicaSet, but minimum number of Pods did not become live"
            found.append(text)
        return found + self._complaints()

    def _newest(self) -> Object | None:
        """Give the ReplicaSet of the Deployment's pod template, found as the controller finds it.

        Not by the revision that both are marked with: after a change of a Deployment that recreates its pods, the
        former ReplicaSet carries that mark until every former pod is gone, and looks as if it were rolled out.
        """
        template = pluck(self.object, "spec", "template")
        return next((one for one in self._replica_sets.values() if same(_template(one), template)), None)

    def _first(self) -> bool:
        return annotation(self.object, _REVISION) == "1"

    def _is_true(self, condition: str) -> bool:
        return self._conditions.get(condition, {}).get("status") == "True"

    def _rolled_out(self) -> bool:
        progressing = self._conditions.get("Progressing", {})
        return progressing.get("status") == "True" and progressing.get("reason") == "NewReplicaSetAvailable"

    def _failing(self) -> list[str]:
        names = ("Progressing", "Available", "ReplicaFailure")
        failing = [one for name in names if (one := self._conditions.get(name)) and self._fails(name, one)]
        return [f"[{one['reason']}] {one['message']}" for one in failing if one.get("reason") and one.get("message")]

    @staticmethod
    def _fails(name: str, condition: Object) -> bool:
        return (condition.get("status") == "True") == (name == "ReplicaFailure")

    def _claim_names(self) -> list[str]:
        volumes = pluck(self.scene.current, "spec", "template", "spec", "volumes") or ()
        named = (pluck(volume, "persistentVolumeClaim", "claimName") for volume in volumes)
        return [name for name in named if name]

    def _unbound(self) -> list[str]:
        unbound = [claim for claim in self._claims.values() if pluck(claim, "status", "phase") != "Bound"]
        for claim in unbound:
            phase = pluck(claim, "status", "phase")
            text = f"PersistentVolumeClaim: [{name_of(claim)}] is not ready. status.phase currently at: {phase}"
            self.scene.status.tell(text, "WARNING")
        return [name_of(claim) for claim in unbound]

    def _complaints(self) -> list[str]:
        newest = self._newest()
        if newest is None:
            return []
        mine = (one for one in self._pods.values() if owned_by(one, uid_of(newest)))
        return [complaint for one in mine for complaint in pod.complaints(one)]


def _template(replica_set: Object) -> Object:
    """Give a ReplicaSet's pod template without the label that its Deployment's controller added."""
    template = pluck(replica_set, "spec", "template") or {}
    labels = {key: value for key, value in (pluck(template, "metadata", "labels") or {}).items() if key != _HASH}
    return {**template, "metadata": {**(template.get("metadata") or {}), "labels": labels}}
