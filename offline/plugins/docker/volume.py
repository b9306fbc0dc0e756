"""docker:index/volume:Volume."""

from typing import ClassVar

from .engine import failing_as, found, labels_to_list, labels_to_map
from .resource import Made, ResourceType, Say, State
from .schema import Fields, mapping, record, replacing, text, unordered

LABELS = unordered(record({"label": text(required=True), "value": text(required=True)}))


class Volume(ResourceType):
    """A named volume. Any change of it makes a new one."""

    fields: ClassVar[Fields] = {
        **replacing(
            {"name": text(required=True), "labels": LABELS, "driver": text(computed=True), "driverOpts": mapping()}
        ),
        "mountpoint": text(output=True),
    }
    meta: ClassVar[str] = '{"schema_version":"1"}'

    def create(self, planned: State, say: Say) -> Made:
        """Make the volume. One of that name that is there already is taken over, as the engine does."""
        with failing_as("Unable to create volume"):
            made = self._engine.client.create_volume(
                name=planned["name"],
                driver=planned["driver"] or "local",
                driver_opts=planned["driverOpts"] or None,
                labels=labels_to_map(planned["labels"]) or None,
            )
            return _made(dict(self._engine.client.inspect_volume(made["Name"])))

    def read(self, id_: str, state: State) -> Made | None:
        """Look at the volume."""
        there = found(lambda: self._engine.client.inspect_volume(id_))
        return _made(there) if there else None

    def delete(self, id_: str, state: State) -> None:
        """Remove the volume with its data, waiting for a container that still uses it."""
        self._engine.remove(
            f"volume {id_}", lambda: self._engine.client.remove_volume(id_, force=True), busy="volume is in use"
        )


def _made(volume: State) -> Made:
    state = {
        "name": volume["Name"],
        "labels": labels_to_list(volume["Labels"]),
        "driver": volume["Driver"],
        "driverOpts": volume["Options"] or {},
        "mountpoint": volume["Mountpoint"],
    }
    return Made(volume["Name"], state)
