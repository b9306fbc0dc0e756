"""docker:index/network:Network."""

from typing import ClassVar

from .engine import failing_as, found, labels_to_list, labels_to_map
from .resource import Made, ResourceType, Say, State
from .schema import Fields, replacing, text
from .volume import LABELS


class Network(ResourceType):
    """A network. Any change of it makes a new one."""

    fields: ClassVar[Fields] = {
        **replacing({"name": text(required=True), "labels": LABELS, "driver": text(computed=True)}),
        # The official plugin's default. It only keeps a stack as it is where that plugin takes it over.
        "ipamDriver": text(default="default", replaces=True),
        "scope": text(output=True),
    }
    meta: ClassVar[str] = '{"schema_version":"1"}'

    def create(self, planned: State, say: Say) -> Made:
        """Make the network."""
        with failing_as("Unable to create network"):
            made = self._engine.client.create_network(
                planned["name"], driver=planned["driver"] or None, labels=labels_to_map(planned["labels"]) or None
            )
            return _made(dict(self._engine.client.inspect_network(made["Id"])))

    def read(self, id_: str, state: State) -> Made | None:
        """Look at the network."""
        there = found(lambda: self._engine.client.inspect_network(id_))
        return _made(there) if there else None

    def delete(self, id_: str, state: State) -> None:
        """Remove the network, waiting for containers that are leaving it."""
        self._engine.remove(
            f"network {id_}", lambda: self._engine.client.remove_network(id_), busy="has active endpoints"
        )


def _made(network: State) -> Made:
    state = {
        "name": network["Name"],
        "labels": labels_to_list(network["Labels"]),
        "driver": network["Driver"],
        "options": network["Options"] or {},
        "ipamDriver": network["IPAM"]["Driver"],
        "scope": network["Scope"],
    }
    return Made(network["Id"], state)
