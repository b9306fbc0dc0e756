"""docker:index/volume:Volume and docker:index/network:Network: what containers share, each known by its name."""

from typing import Any, ClassVar

from .engine import found, labels_to_list, labels_to_map
from .resource import Made, ResourceType, Say, State
from .schema import Field, Fields, replacing

LABELS = Field({"label": Field(), "value": Field()}, unordered=True)
# Any change of one of them makes another.
_COMMON = replacing({"name": Field(required=True), "labels": LABELS, "driver": Field(computed=True)})


class Volume(ResourceType):
    """A named volume. One of its name that is there already is taken over, as the engine does."""

    fields: ClassVar[Fields] = {**_COMMON, "driverOpts": Field(replaces=True), "mountpoint": Field(output=True)}
    meta: ClassVar[str] = '{"schema_version":"1"}'

    def create(self, planned: State, say: Say) -> Made:
        """Make the volume."""
        labels = labels_to_map(planned["labels"])
        return _volume(
            self._engine.client.create_volume(planned["name"], planned["driver"], planned["driverOpts"], labels)
        )

    def read(self, id_: str, state: State) -> Made | None:
        """Look at the volume."""
        there = found(lambda: self._engine.client.inspect_volume(id_))
        return _volume(there) if there else None

    def delete(self, id_: str, state: State) -> None:
        """Remove the volume with its data, waiting for a container that still uses it."""
        client = self._engine.client
        self._engine.remove(f"volume {id_}", lambda: client.remove_volume(id_, force=True), busy="volume is in use")


class Network(ResourceType):
    """A network."""

    fields: ClassVar[Fields] = {
        **_COMMON,
        # The official plugin's default. It only keeps a stack as it is where that plugin takes it over.
        "ipamDriver": Field(default="default", replaces=True),
        "scope": Field(output=True),
    }
    meta: ClassVar[str] = '{"schema_version":"1"}'

    def create(self, planned: State, say: Say) -> Made:
        """Make the network."""
        client, labels = self._engine.client, labels_to_map(planned["labels"])
        made = client.create_network(planned["name"], planned["driver"], labels=labels)
        return _network(client.inspect_network(made["Id"]))

    def read(self, id_: str, state: State) -> Made | None:
        """Look at the network."""
        there = found(lambda: self._engine.client.inspect_network(id_))
        return _network(there) if there else None

    def delete(self, id_: str, state: State) -> None:
        """Remove the network, waiting for containers that are leaving it."""
        client = self._engine.client
        self._engine.remove(f"network {id_}", lambda: client.remove_network(id_), busy="has active endpoints")


def _volume(there: Any) -> Made:
    own = {"driverOpts": there["Options"] or {}, "mountpoint": there["Mountpoint"]}
    return Made(there["Name"], {**_common(there), **own})


def _network(there: Any) -> Made:
    own = {"options": there["Options"] or {}, "ipamDriver": there["IPAM"]["Driver"], "scope": there["Scope"]}
    return Made(there["Id"], {**_common(there), **own})


def _common(there: Any) -> State:
    return {"name": there["Name"], "labels": labels_to_list(there["Labels"]), "driver": there["Driver"]}
