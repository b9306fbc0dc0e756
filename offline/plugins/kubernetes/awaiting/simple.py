"""Kinds that are ready when one field of theirs says so."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from ..api import StatusError
from ..connection import UnreachableError
from ..merge import same
from ..objects import Kind, Object, name_of, pluck
from .base import Awaiter

_STORAGE_CLASS: Final = Kind("storage.k8s.io", "v1", "StorageClass")


class _Simple(Awaiter):
    """A kind whose refresh asks nothing."""

    reads: ClassVar[bool] = False

    def see(self, obj: Object) -> None:
        """Take it as it is: the question is asked of the newest."""
        self.object = obj


class ClaimAwaiter(_Simple):
    """A claim is ready when it is bound, or pending where its first consumer is waited for."""

    seconds: ClassVar[float | None] = 300

    def __init__(self, *arguments: Any) -> None:
        """Start with nothing known."""
        super().__init__(*arguments)
        self._mode = ""

    def ready(self) -> bool:
        """Say whether it is bound, or waits for a consumer."""
        phase = pluck(self.object, "status", "phase")
        if phase == "Bound":
            return True
        if not self._mode:
            self._mode = self._binding_mode()
        return self._mode == "WaitForFirstConsumer" and phase == "Pending"

    def reasons(self) -> list[str]:
        """Give its phase, and the class that was to bind it."""
        phase = pluck(self.object, "status", "phase")
        wanted = pluck(self.object, "spec", "storageClassName")
        return [f"PersistentVolumeClaim {name_of(self.object)} is {phase}; its storage class is {wanted or 'not set'}"]

    def _binding_mode(self) -> str:
        name = pluck(self.object, "spec", "storageClassName")
        if not name:
            self.scene.status.tell(f'no storage class found for "{name_of(self.object)}"', "WARNING")
            return ""
        try:
            found = self.scene.api.get(self.scene.discovery.find(_STORAGE_CLASS).path("", name))
        except (StatusError, UnreachableError) as error:
            self.scene.status.tell(f'getting storageclass "{name}": {error}', "WARNING")
            return ""
        return str(found.get("volumeBindingMode") or "Immediate")


class VolumeAwaiter(_Simple):
    """A volume is ready when it is available or bound."""

    seconds: ClassVar[float | None] = 300

    def ready(self) -> bool:
        """Say whether it is."""
        return pluck(self.object, "status", "phase") in ("Available", "Bound")


class QuotaAwaiter(_Simple):
    """A quota is ready when its controller counts by it."""

    seconds: ClassVar[float | None] = 60

    def ready(self) -> bool:
        """Say whether the limits in force are those asked for."""
        wanted, in_force = (pluck(self.object, part, "hard") for part in ("spec", "status"))
        return isinstance(wanted, dict) and same(wanted, in_force)


class SecretAwaiter(_Simple):
    """A Secret is ready at once, except one whose token a controller has to fill in."""

    def ready(self) -> bool:
        """Say whether it has its token."""
        return self.object.get("type") != "kubernetes.io/service-account-token" or bool(self.object.get("data"))


class ReplicationControllerAwaiter(_Simple):
    """A ReplicationController is ready when as many pods are available as it wants."""

    def ready(self) -> bool:
        """Say whether there are."""
        wanted = pluck(self.object, "spec", "replicas")
        return int(pluck(self.object, "status", "availableReplicas") or 0) == int(1 if wanted is None else wanted)
