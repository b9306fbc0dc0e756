"""docker:index/container:Container."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from ..provider import Made, ResourceType, State
from ..rpc import PluginError
from .container_fields import FIELDS, MIB, UPDATED
from .container_request import create_body, endpoint, upload_archive
from .container_state import read_state
from .engine import Engine, explain
from .remote_image import find_or_pull

if TYPE_CHECKING:
    from .. import diff
    from ..schema import Fields

# Seconds between two looks at a container's health.
_HEALTH_POLL = 0.2
# Seconds that a removed container may take to be gone.
_REMOVE_SECONDS = 60


class Container(ResourceType):
    """A container, made and then started; a failed start leaves it recorded, to be replaced or started later."""

    fields: ClassVar[Fields] = FIELDS
    # Two containers cannot hold one name or one port.
    deletes_first: ClassVar[bool] = True
    autonamed: ClassVar[bool] = True
    meta: ClassVar[str] = '{"schema_version":"2"}'

    def __init__(self, engine: Engine) -> None:
        """Act on `engine`."""
        self._engine = engine

    def compare(self, state: State, inputs: dict[str, Any]) -> diff.Differences:
        """Compare; a container whose making failed, and which was never read since, is made anew.

        The official plugin replaces it too, as the properties that the engine fills in are missing.
        """
        found = super().compare(state, inputs)
        if state.get("networkDatas") is None:
            found.paths["networkDatas"] = ("add", True)
        return found

    def create(self, planned: State, urn: str) -> Made:
        """Make the container, join its networks, upload its files, start it, and wait when asked to."""
        from docker.errors import APIError, DockerException  # noqa: PLC0415

        client = self._engine.client()
        find_or_pull(self._engine, planned["image"])
        try:
            made = client.create_container_from_config(  # type: ignore[no-untyped-call]
                create_body(planned), planned["name"]
            )
        except APIError as error:
            raise PluginError(f"Unable to create container: {explain(error)}") from error
        id_ = str(made["Id"])
        try:
            self._equip(id_, planned)
            self._start(id_, planned)
            read = self.read(id_, planned)
            reason = "the container was gone at once"
        except (DockerException, OSError, PluginError) as error:
            # From here on there is a container: whatever fails, the engine must learn of it.
            read, reason = None, explain(error)
        return read or Made(id_, {**planned, "id": id_}, [f"creating {urn}: {reason}"])

    def read(self, id_: str, state: State) -> Made | None:
        """Look at the container."""
        from docker.errors import NotFound  # noqa: PLC0415

        try:
            inspected = dict(self._engine.client().inspect_container(id_))
        except NotFound:
            return None
        if state and inspected["Id"] != id_:
            return None  # another container whose name is like this id
        known = {name: state.get(name, described.empty()) for name, described in self.fields.items()}
        return Made(str(inspected["Id"]), read_state(inspected, known if state else {}))

    def update(self, id_: str, state: State, planned: State, urn: str) -> State:
        """Start a container that stopped, and change its limits and restart policy in place."""
        del urn
        from docker.errors import APIError  # noqa: PLC0415

        client = self._engine.client()
        try:
            if planned["mustRun"] and not state.get("mustRun") and planned["start"]:
                client.start(id_)
            if any((state.get(name) or 0) != (planned[name] or 0) for name in UPDATED):
                client.update_container(id_, **_changes(planned))
        except APIError as error:
            raise PluginError(f"Unable to update the container {planned['name']}: {explain(error)}") from error
        return {**planned, "id": id_}

    def delete(self, id_: str, state: State) -> None:
        """Stop the container, with as much time as it is given, and remove it."""
        from docker.errors import APIError, NotFound  # noqa: PLC0415

        client = self._engine.client()
        try:
            client.stop(id_, timeout=max(0, state.get("destroyGraceSeconds") or 0))
            client.remove_container(id_, v=bool(state.get("removeVolumes")), force=True)
        except NotFound:
            return
        except APIError as error:
            if "is already in progress" not in explain(error):
                raise PluginError(f"Error deleting container {id_}: {explain(error)}") from error
        deadline = time.monotonic() + _REMOVE_SECONDS
        while time.monotonic() < deadline:
            try:
                client.inspect_container(id_)
            except NotFound:
                return
            time.sleep(_HEALTH_POLL)
        raise PluginError(f"Error deleting container {id_}: it is still there after {_REMOVE_SECONDS} s")

    def _equip(self, id_: str, planned: State) -> None:
        """Join the networks, instead of the default one, and upload the files."""
        client = self._engine.client()
        networks = planned["networksAdvanced"]
        if networks:
            self._leave_bridge(id_)
        for network in networks:
            path = f"{client.base_url}/v{client.api_version}/networks/{network['name']}/connect"
            answer = client.post(path, json={"Container": id_, "EndpointConfig": endpoint(network)}, timeout=60)
            if not answer.ok:
                message = answer.json().get("message", answer.reason)
                raise PluginError(f"Unable to connect to network '{network['name']}': {message}")
        if planned["uploads"]:
            client.put_archive(id_, "/", upload_archive(planned["uploads"]))

    def _leave_bridge(self, id_: str) -> None:
        from docker.errors import APIError  # noqa: PLC0415

        try:
            self._engine.client().disconnect_container_from_network(id_, "bridge")
        except APIError as error:
            if "is not connected to" not in explain(error):
                raise

    def _start(self, id_: str, planned: State) -> None:
        from docker.errors import APIError  # noqa: PLC0415

        if not planned["start"]:
            return
        client = self._engine.client()
        try:
            client.start(id_)
        except APIError as error:
            raise PluginError(f"Unable to start container: {explain(error)}") from error
        if planned["wait"]:
            self._wait_until_healthy(id_, int(planned["waitTimeout"] or 0))

    def _wait_until_healthy(self, id_: str, seconds: int) -> None:
        deadline = time.monotonic() + seconds
        while True:
            state = self._engine.client().inspect_container(id_)["State"]
            health = state.get("Health")
            if health is None:
                raise PluginError("`wait` is set, but the container has no health check: set `healthcheck` too")
            if health["Status"] == "healthy":
                return
            if time.monotonic() > deadline:
                raise PluginError(_unhealthy(state, health, seconds))
            if self._engine.cancelled.wait(_HEALTH_POLL):
                raise PluginError("the update was cancelled while the container was becoming healthy")


def _unhealthy(state: dict[str, Any], health: dict[str, Any], seconds: int) -> str:
    text = f"container failed to be in healthy state within {seconds} s: it is {state['Status']}, {health['Status']}"
    if not state["Running"]:
        text += f", exit code {state['ExitCode']}"
    last = (health.get("Log") or [{}])[-1].get("Output", "").strip()
    return f"{text}; its last health check said: {last}" if last else text


def _changes(planned: State) -> dict[str, Any]:
    """Give the limits to set; 0 leaves one as it is, which is all that the engine's API can do."""
    return {
        "cpu_shares": planned["cpuShares"] or None,
        "cpuset_cpus": planned["cpuSet"] or None,
        "mem_limit": (planned["memory"] or 0) * MIB or None,
        "mem_reservation": (planned["memoryReservation"] or 0) * MIB or None,
        "memswap_limit": max(-1, (planned["memorySwap"] or 0) * MIB) or None,
        "restart_policy": {"Name": planned["restart"], "MaximumRetryCount": planned["maxRetryCount"] or 0},
    }
