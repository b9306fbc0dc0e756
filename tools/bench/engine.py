"""What the benchmark asks of the Docker engine: free names and ports, when a container ran, and to take it all away."""

from __future__ import annotations

import contextlib
import datetime as dt
import random
import socket
import time
from typing import TYPE_CHECKING, Any, Final

import docker
import docker.errors

from ops.toolchain.errors import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tools.bench.measure import Deadline

PREFIX: Final = "ci-bench-"
"""What the name of every container and volume of the benchmark begins with."""
LABEL: Final = "ci.stack"
STACKS: Final = frozenset({"bench", "first"})
"""The stacks of the benchmark, and so the values of their label."""
_POLL_SECONDS: Final = 0.02
_PORTS: Final = (20000, 32000)
"""The kernel's own begin at 32768. Source: its ip-sysctl.rst, ip_local_port_range."""


class Engine:
    """A Docker engine of this machine."""

    def __init__(self, host: str) -> None:
        """Take the engine's address, `unix:///path`."""
        self.host = host
        self._client = docker.DockerClient(base_url=host, timeout=60)

    def version(self) -> str:
        """Give the engine's version."""
        return str(self._client.version()["Version"])

    def remove(self, names: Iterable[str]) -> None:
        """Remove containers and volumes of these names, if they are there.

        Raises:
            Trouble: for one that the benchmark did not make.
        """
        for name in names:
            for kind in (self._client.containers, self._client.volumes):
                # When a run is broken off, the engine may be at work on it for the plugin, and says conflict.
                for _ in range(50):
                    if self._remove(kind, name):
                        break
                    time.sleep(0.1)

    @staticmethod
    def _remove(kind: Any, name: str) -> bool:  # noqa: ANN401 - two collections without a common type
        """Remove one; say whether it is gone."""
        try:
            found = kind.get(name)
        except docker.errors.NotFound:
            return True
        labels = found.attrs.get("Labels") or (found.attrs.get("Config") or {}).get("Labels") or {}
        if not name.startswith(PREFIX) or labels.get(LABEL) not in STACKS:
            raise Trouble(
                f"{name} is on the engine already, and the benchmark did not make it.",
                f"The benchmark needs that name. Remove or rename it: docker rename {name} {name}-mine",
            )
        with contextlib.suppress(docker.errors.NotFound):
            try:
                found.remove(force=True)
            except docker.errors.APIError as refused:
                if refused.status_code != 409:  # noqa: PLR2004 - conflict
                    raise
                return False
        return True

    def make_volume(self, name: str, labels: Mapping[str, str]) -> None:
        """Make a volume."""
        self._client.volumes.create(name, labels=dict(labels))

    def tag(self, image: str, name: str) -> None:
        """Give an image one more name."""
        repository, _, tag = name.rpartition(":")
        self._client.images.get(image).tag(repository, tag)

    def remove_image(self, name: str) -> None:
        """Take a name of an image away, if it is there."""
        with contextlib.suppress(docker.errors.APIError):
            self._client.images.remove(name, force=True)

    def started(self, container: str) -> float:
        """Give when a container's first process was started, seconds since 1970."""
        return seconds(str(self._client.api.inspect_container(container)["State"]["StartedAt"]))

    def await_healthy(self, container: str, deadline: Deadline) -> float:
        """Wait until a container is healthy; give when that was, seconds since 1970, to 20 ms.

        Raises:
            Trouble: when it ends, is unhealthy, or does not become healthy in time.
        """
        while True:
            state = self._client.api.inspect_container(container)["State"]
            health = state.get("Health", {}).get("Status")
            if health == "healthy":
                return time.time()
            if state["Status"] != "running" or health == "unhealthy":
                raise Trouble(f"The container {container} is {health or state['Status']}; its log may say why.")
            deadline.left()
            time.sleep(_POLL_SECONDS)


def seconds(moment: str) -> float:
    """Give a moment as the engine writes it, as seconds since 1970."""
    return dt.datetime.fromisoformat(moment).timestamp()


def free_ports(count: int) -> list[int]:
    """Give ports of 127.0.0.1 that nothing listens on, all of five digits, so that all texts are of one length.

    They lie below those that the kernel hands out itself: Pulumi and its plugins talk over some of these, and might be
    given one before the container has it.
    """
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        for port in random.sample(range(*_PORTS), k=_PORTS[1] - _PORTS[0]):
            if len(ports) == count:
                break
            probe = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                ports.append(port)
        return ports
