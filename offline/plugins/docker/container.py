"""docker:index/container:Container."""

import time
from typing import Any, ClassVar

from pulumi.runtime.proto.provider_pb2 import PropertyDiff

from ..rpc import PluginError, explain
from .container_api import create_body, read_state, update_arguments, upload_archive
from .engine import failing_as, found
from .named import LABELS
from .resource import Made, ResourceType, Say, State
from .schema import Field, Fields, replacing

# Seconds between two looks at a container's health.
_HEALTH_POLL = 0.2

_COMPUTED = Field(computed=True)
_SET = Field(unordered=True)
_PORT = {
    "internal": Field(),
    "external": Field(),
    "ip": Field(default="0.0.0.0"),  # noqa: S104 (the official default; the components always give one)
    "protocol": Field(default="tcp"),
}
_VOLUME = dict.fromkeys(("containerPath", "hostPath", "volumeName", "readOnly"), Field())
_HEALTHCHECK = {
    **dict.fromkeys(("tests", "retries"), Field()),
    **dict.fromkeys(("interval", "timeout", "startPeriod", "startInterval"), Field(default="0s")),
}
# A change of one of these makes another container.
_FIXED: Fields = {
    **dict.fromkeys(("name", "image"), Field(required=True)),
    **dict.fromkeys(("command", "entrypoints", "user", "stopSignal", "stopTimeout", "logDriver"), _COMPUTED),
    **dict.fromkeys(("envs", "securityOpts"), Field(unordered=True, computed=True)),
    **dict.fromkeys(("privileged", "readOnly", "logOpts"), Field()),
    "groupAdds": _SET,
    "labels": LABELS,
    "capabilities": Field({"adds": _SET, "drops": _SET}),
    "networkMode": Field(default="bridge"),
    "networksAdvanced": Field({"name": Field(), "aliases": _SET}, unordered=True),
    "ports": Field(_PORT, unordered=True),
    "volumes": Field(_VOLUME, unordered=True),
    "uploads": Field({"file": Field(), "content": Field()}, unordered=True),
    # Missing after a creation that failed: such a container is made anew.
    "networkDatas": Field(output=True),
}
# A change of one of these is made in the container's own configuration.
_UPDATED: Fields = {"restart": Field(default="no"), "memory": Field(), "memorySwap": Field()}
# These are only recorded: they matter when the container is made, started or removed. The health check and tmpfs
# only do for the next container, as the official plugin has it.
_RECORDED: Fields = {
    **dict.fromkeys(("start", "mustRun", "removeVolumes"), Field(default=True)),
    **dict.fromkeys(("wait", "destroyGraceSeconds", "tmpfs", "cpuPeriod", "cpuQuota"), Field()),
    "waitTimeout": Field(default=60),
    "containerReadRefreshTimeoutMilliseconds": Field(default=15000),
    "healthcheck": Field(_HEALTHCHECK, computed=True),
}


class Container(ResourceType):
    """A container, made and then started; a failed start leaves it recorded, to be replaced or started later."""

    fields: ClassVar[Fields] = {**replacing(_FIXED), **_UPDATED, **_RECORDED}
    meta: ClassVar[str] = '{"schema_version":"2"}'

    def compare(self, state: State, inputs: dict[str, Any]) -> dict[str, int]:
        """Compare; a container whose making failed, and which was never read since, is made anew."""
        failed = {"networkDatas": PropertyDiff.ADD} if state.get("networkDatas") is None else {}
        return {**super().compare(state, inputs), **failed}

    def create(self, planned: State, say: Say) -> Made:
        """Make the container, join its networks, upload its files, start it, and wait when asked to."""
        with failing_as("Unable to create container"):
            made = self._engine.client.create_container_from_config(  # type: ignore[no-untyped-call]
                create_body(planned), planned["name"]
            )
        id_ = str(made["Id"])
        try:
            self._equip(id_, planned)
            self._start(id_, planned)
            read = self.read(id_, planned)
            reason = "the container was gone at once"
        except (OSError, PluginError) as error:  # the SDK's errors are OSErrors
            # From here on there is a container: whatever fails, the engine must learn of it.
            read, reason = None, explain(error)
        return read or Made(id_, planned, [f"creating the container {planned['name']}: {reason}"])

    def read(self, id_: str, state: State) -> Made | None:
        """Look at the container."""
        inspected = found(lambda: self._engine.client.inspect_container(id_))
        if inspected is None or inspected["Id"] != id_:
            return None  # gone, or another container whose name is like this id
        return Made(id_, read_state(inspected, {name: state.get(name) for name in self.fields}))

    def update(self, id_: str, state: State, planned: State, say: Say) -> State:
        """Start a container that stopped, and change its limits and restart policy in place."""
        client = self._engine.client
        with failing_as(f"Unable to update the container {planned['name']}"):
            if planned["mustRun"] and not state.get("mustRun") and planned["start"]:
                client.start(id_)
            if any((state.get(name) or 0) != (planned[name] or 0) for name in _UPDATED):
                client.update_container(id_, **update_arguments(planned))
        return {**state, **planned}

    def delete(self, id_: str, state: State) -> None:
        """Stop the container, with as much time as it is given, and remove it."""
        client = self._engine.client

        def remove() -> None:
            client.stop(id_, timeout=max(0, state.get("destroyGraceSeconds") or 0))
            client.remove_container(id_, v=bool(state.get("removeVolumes")), force=True)

        self._engine.remove(f"container {id_}", remove, busy="is already in progress")

    def _equip(self, id_: str, planned: State) -> None:
        """Join the networks, instead of the default one, and upload the files."""
        client = self._engine.client
        networks = planned["networksAdvanced"] or []
        if networks:
            client.disconnect_container_from_network(id_, "bridge")
        for network in networks:
            with failing_as(f"Unable to connect to network '{network['name']}'"):
                client.connect_container_to_network(id_, network["name"], aliases=network.get("aliases"))
        if planned["uploads"]:
            client.put_archive(id_, "/", upload_archive(planned["uploads"]))

    def _start(self, id_: str, planned: State) -> None:
        if not planned["start"]:
            return
        with failing_as("Unable to start container"):
            self._engine.client.start(id_)
        if planned["wait"]:
            self._wait_until_healthy(id_, int(planned["waitTimeout"]))

    def _wait_until_healthy(self, id_: str, seconds: int) -> None:
        deadline = time.monotonic() + seconds
        while True:
            state = self._engine.client.inspect_container(id_)["State"]
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
