"""docker:index/network:Network."""

from __future__ import annotations

from typing import Any, ClassVar

from ..provider import Made, ResourceType, State
from ..rpc import PluginError
from ..schema import Fields, flag, mapping, record, replacing, text, unordered
from .container_fields import LABEL
from .engine import Engine, explain, labels_to_list, labels_to_map

_FIXED: Fields = {
    "name": text(required=True),
    "labels": unordered(record(LABEL)),
    "driver": text(computed=True),
    "options": mapping(computed=True),
    "internal": flag(computed=True),
    "attachable": flag(),
    "ingress": flag(),
    "ipv6": flag(),
    "ipamDriver": text(default="default"),
    "ipamOptions": mapping(),
    "ipamConfigs": unordered(
        record(replacing({"subnet": text(), "ipRange": text(), "gateway": text(), "auxAddress": mapping()})),
        computed=True,
    ),
}


class Network(ResourceType):
    """A network. Any change of it makes a new one."""

    fields: ClassVar[Fields] = {**replacing(_FIXED), "scope": text(output=True)}
    autonamed: ClassVar[bool] = True
    meta: ClassVar[str] = '{"schema_version":"1"}'

    def __init__(self, engine: Engine) -> None:
        """Act on `engine`."""
        self._engine = engine

    def create(self, planned: State, urn: str) -> Made:
        """Make the network."""
        del urn
        from docker.errors import APIError  # noqa: PLC0415
        from docker.types import IPAMConfig, IPAMPool  # noqa: PLC0415

        pools = [
            IPAMPool(
                subnet=one["subnet"] or None,
                iprange=one["ipRange"] or None,
                gateway=one["gateway"] or None,
                aux_addresses=one["auxAddress"] or None,
            )
            for one in planned["ipamConfigs"] or ()
        ]
        ipam = IPAMConfig(
            driver=planned["ipamDriver"], pool_configs=pools or None, options=planned["ipamOptions"] or None
        )
        try:
            made = self._engine.client().create_network(
                planned["name"],
                driver=planned["driver"] or None,
                options=planned["options"] or None,
                ipam=ipam,
                internal=bool(planned["internal"]),
                labels=labels_to_map(planned["labels"]) or None,
                enable_ipv6=bool(planned["ipv6"]),
                attachable=bool(planned["attachable"]) or None,
                ingress=bool(planned["ingress"]) or None,
            )
        except APIError as error:
            raise PluginError(f"Unable to create network: {explain(error)}") from error
        read = self.read(str(made["Id"]), {})
        if read is None:
            raise PluginError(f"Unable to create network: {planned['name']} was gone at once")
        return read

    def read(self, id_: str, state: State) -> Made | None:
        """Look at the network."""
        del state
        from docker.errors import NotFound  # noqa: PLC0415

        try:
            found = dict(self._engine.client().inspect_network(id_))
        except NotFound:
            return None
        ipam = found["IPAM"]
        return Made(
            str(found["Id"]),
            {
                "id": found["Id"],
                "name": found["Name"],
                "labels": labels_to_list(found["Labels"]),
                "driver": found["Driver"],
                "options": found["Options"] or {},
                "internal": found["Internal"],
                "attachable": found["Attachable"],
                "ingress": found["Ingress"],
                "ipv6": found["EnableIPv6"],
                "ipamDriver": ipam["Driver"],
                "ipamOptions": ipam["Options"] or {},
                "ipamConfigs": [_ipam_state(one) for one in ipam["Config"] or ()],
                "scope": found["Scope"],
            },
        )

    def update(self, id_: str, state: State, planned: State, urn: str) -> State:
        """Do nothing: no property of a network changes in place."""
        del id_, state, urn
        return planned

    def delete(self, id_: str, state: State) -> None:
        """Remove the network, waiting for containers that are leaving it."""
        del state
        self._engine.remove(
            "network", id_, lambda: self._engine.client().remove_network(id_), busy="has active endpoints"
        )


def _ipam_state(config: dict[str, Any]) -> State:
    return {
        "subnet": config.get("Subnet") or "",
        "ipRange": config.get("IPRange") or "",
        "gateway": config.get("Gateway") or "",
        "auxAddress": config.get("AuxiliaryAddresses") or {},
    }
