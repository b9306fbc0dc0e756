"""Finds out what a way's builds may do, by doing it: harmless things, on this machine."""

from __future__ import annotations

import re
import secrets
import shlex
from typing import TYPE_CHECKING, Any, Final

from components.settings.pod_security import NEEDS
from ops.toolchain.errors import Trouble
from tools.compare import capabilities
from tools.compare.contexts import CONTEXTS, Context
from tools.compare.figures import OF_JOBS, Found, Holder, RunStep
from tools.compare.host import SOCKET
from tools.compare.nested import why

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tools.compare.plan import Plan
    from tools.compare.ways import Way

_FACTS: Final = "/facts"
_LOOK: Final = "cat /proc/self/status /proc/self/uid_map; readlink /proc/self/ns/user; cat {marker} || true"
_FIRST_NAMESPACE: Final = "user:[4026531837]"
"""The host's own user namespace. Source: the kernel's include/linux/proc_ns.h, PROC_USER_INIT_INO."""

MARKER: Final = "marker"
"""A file of the host, in a folder of our own, that is in no container and no context."""


class Probes:
    """Asks each way the same things."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        """Take what is deployed, and an empty folder of the host for the marker."""
        self._plan = plan
        self._folder, self._marker = folder, folder / MARKER
        self._text = secrets.token_hex(16)
        self.found: dict[str, Found] = {}
        """What was found, by way."""

        folder.mkdir()
        self._marker.write_text(f"{self._text}\n", encoding="utf-8")

    def find(self, way: Way) -> None:
        """Probe one way.

        Raises:
            Trouble: when it can't build on this machine.
        """
        step, seen = self._step(way)
        said = self._mounted(way) if way.platform == "docker" else seen
        reads = self._text in said
        self.found[way.name] = Found(
            **self._rights(way),
            step=step,
            reads_host=reads,
            # Without the folder's name, which is another each time.
            said="the marker" if reads else why(said.replace(str(self._folder), "")),
            shares_cache=self._shares_cache(way),
        )

    def _rights(self, way: Way) -> dict[str, Any]:
        if way.platform == "docker":
            controller, *others = (of_container(attrs) for attrs in self._plan.host.facts(way))
            return {"holders": (controller.model_copy(update={"role": OF_JOBS}), *others)}
        [level] = [needs.level for builder, needs in NEEDS.items() if builder == way.name]
        return {"holders": of_pod(self._plan.cluster.facts(way)), "level": level}

    def _step(self, way: Way) -> tuple[RunStep, str]:
        """Build with a step that looks at itself, and read what it saw in the image."""
        files = looking(self._marker).files(base=self._plan.base, run=secrets.token_hex(8), last="probe")
        seen = self._plan.registry.file(*self._plan.once(way, files), _FACTS)
        return run_step(seen), seen

    def _mounted(self, way: Way) -> str:
        """Start a container with a folder of the host, by what the way gives to a job."""
        mount = shlex.quote(f"{self._marker.parent}:/probe:ro")
        line = f"docker run --rm --volume {mount} {self._plan.base} cat /probe/{MARKER} 2>&1 || true"
        return self._plan.host.run(way, line)

    def _shares_cache(self, way: Way) -> bool:
        """Let the host's own engine build what the way has just built, and see whether it is the very same image."""
        files = CONTEXTS[0].files(base=self._plan.base, run=secrets.token_hex(8), last="probe")
        theirs = self._plan.registry.config(*self._plan.once(way, files))
        return self._plan.host.build_beside(files, self._folder / "beside") == theirs


def looking(marker: Path) -> Context:
    """Give a context whose step writes down what it is."""
    look = _LOOK.format(marker=shlex.quote(str(marker)))
    return Context(name=CONTEXTS[0].name, what="", layers=f"RUN ({look}) > {_FACTS} 2>&1\n", own=lambda _: {})


def run_step(seen: str) -> RunStep:
    """Read what a step saw of itself: /proc/self/status and /proc/self/uid_map.

    Raises:
        Trouble: where it is not that.
    """
    try:
        fields = dict(re.findall(r"^(\w+):\t(.*)$", seen, re.MULTILINE))
        inside = int(fields["Uid"].split()[0])
        ranges = [tuple(map(int, found)) for found in re.findall(r"^ *(\d+) +(\d+) +(\d+)$", seen, re.MULTILINE)]
        [uid] = [outer + inside - first for first, outer, count in ranges if first <= inside < first + count]
        return RunStep(
            uid=uid,
            capabilities=capabilities.names(int(fields["CapEff"], 16)),
            in_namespace=_FIRST_NAMESPACE not in seen,
            seccomp=fields["Seccomp"] != "0",
            no_new_privileges=fields["NoNewPrivs"] != "0",
        )
    except (KeyError, ValueError) as error:
        raise Trouble(f"A build's step did not say what it is ({error}): {seen[:200]}") from error


def of_container(attrs: Mapping[str, Any]) -> Holder:
    """Give the rights of a container, from what its engine says of it."""
    host, config = attrs["HostConfig"], attrs["Config"]
    role = str(attrs["Name"]).rpartition("-")[2]
    mounts = [mount.get("Source", "") for mount in attrs.get("Mounts") or ()]
    return Holder(
        role=role,
        user=str(config.get("User") or ""),
        privileged=bool(host.get("Privileged")),
        added=_bare(host.get("CapAdd")),
        dropped=_bare(host.get("CapDrop")),
        security=tuple(host.get("SecurityOpt") or ()),
        socket=any(str(source).endswith(SOCKET) for source in mounts),
    )


def of_pod(spec: Mapping[str, Any]) -> tuple[Holder, ...]:
    """Give the rights of a pod's containers, from its spec."""
    of_all = spec.get("securityContext") or {}
    found = []
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        own = {**of_all, **(container.get("securityContext") or {})}
        granted = own.get("capabilities") or {}
        security = [f"seccomp={(own.get('seccompProfile') or {}).get('type', 'unset')}"]
        if own.get("allowPrivilegeEscalation") is False:
            security.append("no-new-privileges")
        found.append(
            Holder(
                role=container["name"],
                user=str(own.get("runAsUser", "")),
                privileged=bool(own.get("privileged")),
                added=_bare(granted.get("add")),
                dropped=_bare(granted.get("drop")),
                security=tuple(security),
            )
        )
    return tuple(found)


def _bare(names: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(sorted(name.removeprefix("CAP_") for name in names or ()))
