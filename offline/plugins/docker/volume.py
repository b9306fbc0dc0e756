"""docker:index/volume:Volume."""

from __future__ import annotations

from typing import ClassVar

from ..provider import Made, ResourceType, State
from ..rpc import PluginError
from ..schema import Fields, mapping, record, text, unordered
from .container_fields import LABEL
from .engine import Engine, explain, labels_to_list, labels_to_map


class Volume(ResourceType):
    """A named volume. Any change of it makes a new one."""

    fields: ClassVar[Fields] = {
        "name": text(computed=True, replaces=True),
        "labels": unordered(record(LABEL), replaces=True),
        "driver": text(computed=True, replaces=True),
        "driverOpts": mapping(replaces=True),
        "mountpoint": text(output=True),
    }
    autonamed: ClassVar[bool] = True
    meta: ClassVar[str] = '{"schema_version":"1"}'

    def __init__(self, engine: Engine) -> None:
        """Act on `engine`."""
        self._engine = engine

    def create(self, planned: State, urn: str) -> Made:
        """Make the volume. One of that name that is there already is taken over, as the engine does."""
        del urn
        from docker.errors import APIError  # noqa: PLC0415

        try:
            made = self._engine.client().create_volume(
                name=planned["name"],
                driver=planned["driver"] or "local",
                driver_opts=planned["driverOpts"] or None,
                labels=labels_to_map(planned["labels"]) or None,
            )
        except APIError as error:
            raise PluginError(f"Unable to create volume: {explain(error)}") from error
        read = self.read(str(made["Name"]), {})
        if read is None:
            raise PluginError(f"Unable to create volume: {made['Name']} was gone at once")
        return read

    def read(self, id_: str, state: State) -> Made | None:
        """Look at the volume."""
        del state
        from docker.errors import NotFound  # noqa: PLC0415

        try:
            found = self._engine.client().inspect_volume(id_)
        except NotFound:
            return None
        return Made(
            id_,
            {
                "id": id_,
                "name": found["Name"],
                "labels": labels_to_list(found["Labels"]),
                "driver": found["Driver"],
                "driverOpts": found["Options"] or {},
                "mountpoint": found["Mountpoint"],
            },
        )

    def update(self, id_: str, state: State, planned: State, urn: str) -> State:
        """Do nothing: no property of a volume changes in place."""
        del id_, state, urn
        return planned

    def delete(self, id_: str, state: State) -> None:
        """Remove the volume with its data, waiting for a container that still uses it."""
        del state
        self._engine.remove(
            "volume", id_, lambda: self._engine.client().remove_volume(id_, force=True), busy="volume is in use"
        )
