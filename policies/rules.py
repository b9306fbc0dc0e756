"""What this project promises of what it deploys, as rules: each looks at the inputs of one resource."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

ENGINE: Final = "ci-engine-container"
"""The one container that may be privileged or have capabilities: the engine of `access: dind`."""

LEVELS: Final = ("restricted", "baseline", "privileged")
"""Pod Security Standards. Source: kubernetes.io/docs/concepts/security/pod-security-standards."""

PINNED: Final = re.compile(r"(?:.+@)?sha256:[0-9a-z-]+|(?:[^@]*/)?[^:/@]+:(?!latest$)[\w.-]+")
"""A digest, an image's id on its engine, or a tag that does not move by its name."""


@dataclass(frozen=True)
class Resource:
    """A resource of a plan, as the engine shows it to policies."""

    type: str
    """As `docker:index/container:Container`."""

    name: str
    inputs: Mapping[str, Any]
    accepted: bool
    """Whether the stack says `ci:docker.acceptRootOnHost: true`."""

    @property
    def on_docker(self) -> bool:
        """Whether it is a container of a Docker host."""
        return self.type == "docker:index/container:Container"

    def pods(self) -> Iterator[Mapping[str, Any]]:
        """Give each pod's spec in an object of Kubernetes."""
        if self.type.startswith("kubernetes:"):
            yield from (found for found in _maps(self.inputs) if "containers" in found)

    def containers(self) -> Iterator[Mapping[str, Any]]:
        """Give each container of those pods."""
        for pod in self.pods():
            yield from (*pod["containers"], *pod.get("initContainers", ()))


@dataclass(frozen=True)
class Rule:
    """A promise, and what finds that a resource breaks it: a sentence for each time."""

    promise: str
    check: Callable[[Resource], Iterator[str]]


def _maps(value: Any) -> Iterator[Mapping[str, Any]]:  # noqa: ANN401 - any JSON
    if isinstance(value, Mapping):
        yield value
    if not isinstance(value, str):
        for inner in value.values() if isinstance(value, Mapping) else value if hasattr(value, "__len__") else ():
            yield from _maps(inner)


def _privileges(resource: Resource) -> Iterator[str]:
    inputs = resource.inputs
    if resource.on_docker and resource.name != ENGINE:
        if inputs.get("privileged") or (inputs.get("capabilities") or {}).get("adds"):
            yield "is privileged or has capabilities of its own"
        if "ALL" not in (inputs.get("capabilities") or {}).get("drops", ()):
            yield "does not drop all capabilities"
    for container in resource.containers():
        confined = container.get("securityContext") or {}
        if confined.get("privileged") or "ALL" not in (confined.get("capabilities") or {}).get("drop", ()):
            yield f"{container['name']} is privileged or does not drop all capabilities"


def _host(resource: Resource) -> Iterator[str]:
    if resource.on_docker and not resource.accepted:
        for volume in resource.inputs.get("volumes") or ():
            if str(volume.get("hostPath") or "").endswith(".sock"):
                yield f"mounts {volume['hostPath']} without ci:docker.acceptRootOnHost: true"
    for pod in resource.pods():
        yield from ("mounts a path of the node" for volume in pod.get("volumes") or () if volume.get("hostPath"))


def _images(resource: Resource) -> Iterator[str]:
    named = [resource.inputs["image"]] if resource.on_docker else [each["image"] for each in resource.containers()]
    if resource.type == "docker:index/remoteImage:RemoteImage":
        named = [resource.inputs["name"]]
    yield from (f"{image} is neither a digest nor a fixed tag" for image in named if not PINNED.fullmatch(image))


def _limits(resource: Resource) -> Iterator[str]:
    if resource.on_docker and not resource.inputs.get("memory"):
        yield "has no limit of memory"
    for container in resource.containers():
        if not {"memory", "cpu"} <= {*((container.get("resources") or {}).get("limits") or ())}:
            yield f"{container['name']} has no limit of memory or processors"


def _levels(resource: Resource) -> Iterator[str]:
    if resource.type == "kubernetes:core/v1:Namespace":
        level = (resource.inputs["metadata"].get("labels") or {}).get("pod-security.kubernetes.io/enforce")
        if level not in LEVELS:
            yield f"enforces no level of Pod Security ({', '.join(LEVELS)})"


RULES: Final = {
    "least-privilege": Rule("No container but the engine of access: dind has privileges or capabilities.", _privileges),
    "host-accepted": Rule(
        "The Docker socket is mounted only where acceptRootOnHost is true; no pod mounts a node's path.", _host
    ),
    "pinned-images": Rule("Every image is named by digest, by id or by a fixed tag.", _images),
    "limits": Rule("Every container has limits.", _limits),
    "pod-security": Rule("Every namespace enforces a level of Pod Security.", _levels),
}
