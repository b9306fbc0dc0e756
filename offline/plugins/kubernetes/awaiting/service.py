"""When a Service leads somewhere, and when an Ingress does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from ..objects import Kind, Object, name_of, pluck
from ..watching import Event, Key
from .base import Awaiter

if TYPE_CHECKING:
    from collections.abc import Mapping

_SERVICE: Final = Kind("", "v1", "Service")
_ENDPOINTS: Final = Kind("", "v1", "Endpoints")
# Seconds without a change after which endpoints are taken to be all there, and those that an Ingress waits for the
# first of its endpoints; the official plugin's numbers.
_SETTLED_SECONDS = 10.0
_NO_ENDPOINTS_SECONDS = 60.0
_NO_PODS = (
    "Service does not target any Pods. Selected Pods may not be ready, or field '.spec.selector' may not match labels "
    "on any Pods"
)


class _Settling(Awaiter):
    """What depends on endpoints, each change of which may be followed by another."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._settles_at: float | None = None
        # Reading asks once, of what there is.
        self._at_once = True

    def related(self) -> Mapping[Kind, list[Key]]:
        """Give what it leads to."""
        return {_ENDPOINTS: [Key("name", name_of(self.scene.current))]}

    def next_seconds(self) -> float | None:
        """Give the time until the endpoints have settled."""
        if self._settles_at is None:
            return None
        return max(0.0, self._settles_at - time.monotonic()) or None

    def take(self, event: Event) -> None:
        """Take an event of a wait, in which endpoints have to settle."""
        self._at_once = False
        super().take(event)

    def _changed(self, seconds: float = _SETTLED_SECONDS) -> None:
        self._settles_at = time.monotonic() + seconds

    def _settled(self) -> bool:
        return self._settles_at is not None and time.monotonic() >= self._settles_at


class ServiceAwaiter(_Settling):
    """A Service is ready when the pods that it selects are, and it has its address if a load balancer gives one."""

    def __init__(self, *arguments: Any) -> None:
        """Start with nothing known."""
        super().__init__(*arguments)
        self._endpoints: Object | None = None

    def see(self, obj: Object) -> None:
        """Take it as it is: the question is asked of the newest."""
        self.object = obj

    def see_related(self, event: Event) -> None:
        """Look at its endpoints."""
        if name_of(event.object) != name_of(self.scene.current):
            return
        self._endpoints = None if event.change == "DELETED" else event.object
        self._changed()

    def ready(self) -> bool:
        """Say whether it leads somewhere."""
        if not self._waits_for_pods():
            return self._has_address()
        settled = self._settled() or (self._at_once and self._endpoints is not None)
        if self._has_address() and settled and not self._some("notReadyAddresses"):
            self.scene.status.tell("✅ Service initialization complete")
            return True
        if settled and self._some("addresses"):
            self.scene.status.tell("[2/3] Attempting to allocate IP address to Service")
        else:
            self.scene.status.tell("[1/3] Finding Pods to direct traffic to")
        return False

    def reasons(self) -> list[str]:
        """Give what is missing."""
        found = []
        if self._waits_for_pods() and not self._some("addresses"):
            found.append(_NO_PODS)
        if not self._has_address():
            found.append("Service was not allocated an IP address; does your cloud provider support this?")
        return found

    def at_the_end(self) -> bool:
        """Take it if it has its address and no pod is on its way."""
        return self._has_address() and not self._some("notReadyAddresses")

    def _type(self) -> str:
        return str(pluck(self.object, "spec", "type") or "ClusterIP")

    def _waits_for_pods(self) -> bool:
        headless = pluck(self.object, "spec", "clusterIP") == "None"
        selects = bool(pluck(self.object, "spec", "selector"))
        return selects and not headless and self._type() != "ExternalName"

    def _has_address(self) -> bool:
        return self._type() != "LoadBalancer" or bool(pluck(self.object, "status", "loadBalancer", "ingress"))

    def _some(self, field: str) -> bool:
        return any(subset.get(field) for subset in pluck(self._endpoints, "subsets") or ())


class IngressAwaiter(_Settling):
    """An Ingress is ready when its controller gave it an address, and the Services of its paths have endpoints."""

    def __init__(self, *arguments: Any) -> None:
        """Start with nothing known."""
        super().__init__(*arguments)
        self._endpoints: set[str] = set()
        self._external: set[str] = set()
        self._changed(_NO_ENDPOINTS_SECONDS)

    def related(self) -> Mapping[Kind, list[Key]]:
        """Give the Services of its paths, and where they lead."""
        named = [Key("name", name) for name in sorted(self._services())]
        return {_ENDPOINTS: named, _SERVICE: named} if named else {}

    def see(self, obj: Object) -> None:
        """Take it as it is: the question is asked of the newest."""
        self.object = obj

    def see_related(self, event: Event) -> None:
        """Look at a Service or at endpoints."""
        name = name_of(event.object)
        if event.kind == _SERVICE:
            external = event.change != "DELETED" and pluck(event.object, "spec", "type") == "ExternalName"
            (self._external.add if external else self._external.discard)(name)
            return
        (self._endpoints.discard if event.change == "DELETED" else self._endpoints.add)(name)
        self._changed()

    def ready(self) -> bool:
        """Say whether it has an address, and its paths somewhere to lead."""
        if not self._leads():
            self.scene.status.tell("[1/3] Finding a matching service for each Ingress path")
            return False
        if pluck(self.object, "status", "loadBalancer", "ingress"):
            self.scene.status.tell("✅ Ingress initialization complete")
            return True
        self.scene.status.tell("[2/3] Waiting for update of .status.loadBalancer with hostname/IP")
        return False

    def reasons(self) -> list[str]:
        """Give what is missing."""
        found = [] if self._leads() else ["Ingress has at least one rule with an unavailable target endpoint."]
        if not pluck(self.object, "status", "loadBalancer", "ingress"):
            found.append(
                "Ingress .status.loadBalancer field was not updated with a hostname/IP address. "
                "\n    for more information about this error, see https://pulumi.io/xdv72s"
            )
        return found

    def _services(self) -> set[str]:
        rules = pluck(self.object, "spec", "rules") or ()
        paths = [path for rule in rules for path in pluck(rule, "http", "paths") or ()]
        return {name for path in paths if (name := pluck(path, "backend", "service", "name"))}

    def _leads(self) -> bool:
        missing = self._services() - self._endpoints - self._external
        if missing and (self._settled() or self._at_once):
            for name in sorted(missing):
                self.scene.status.tell(f'No matching service found for ingress rule: "{name}"', "WARNING")
            return True
        return not missing
