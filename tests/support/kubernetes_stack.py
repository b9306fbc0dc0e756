"""A Kubernetes stack for tests: settings that are right, a cluster that answers as it is told, pods as the API has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from components.kubernetes.cluster import ApiReader, NamespaceInfo, ReadError
from tests.support import settings as on_docker

REGISTRY_PASSWORD = "staple-battery-horse"
"""Made up here and used nowhere else, as is everything below."""

DIGEST = f"sha256:{'ab' * 32}"
PULL_PASSWORD = "battery-staple-horse"
HASH = "$2y$10$" + "N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
INLINE = {"inline": {"Dockerfile": "FROM scratch\n"}}
PEM_KEY = "-----BEGIN PRIVATE KEY-----\nmade-up-key\n-----END PRIVATE KEY-----\n"


_BASE = {
    "platform": "kubernetes",
    "registry": {"plainHttp": True},
    "registryPassword": REGISTRY_PASSWORD,
    "registryPullPassword": PULL_PASSWORD,
}
raw = partial(on_docker.raw, base=_BASE)
settings = partial(on_docker.settings, base=_BASE)
problems = partial(on_docker.problems, base=_BASE)
refused = partial(on_docker.refused, base=_BASE)


def build(name: str = "website", **keys: Any) -> dict[str, Any]:
    """Give the settings of a build, by default of one inline Dockerfile."""
    return {"name": name, "context": INLINE, **keys}


@dataclass
class FakeReader(ApiReader):
    """Answers as a cluster would that has just this in it."""

    found: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    classes: Mapping[str, bool] = field(default_factory=lambda: {"standard": True})
    at: tuple[int, int] = (1, 34)
    secrets: Sequence[str] = ()
    volume_uid: str | None = "uid"
    objects: Mapping[str, Any] = field(default_factory=dict)
    """Objects and lists by path, None for one that is not there. Of the others it has what is named."""
    kueue: bool = True
    terminating: list[str] = field(default_factory=list)
    """One namespace for each time that the cluster is asked: it is being deleted then."""

    of_every_job: Sequence[Mapping[str, Any]] | None = None
    """The pods of each Job; None gives each one that pushed DIGEST."""

    broken: bool | str = False
    """Gives no answer: to any question, or to those that begin with this."""

    asked: list[str] = field(default_factory=list)

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.broken is True or (self.broken and what.startswith(self.broken)):
            raise ReadError("https://192.0.2.1:6443 does not answer: timed out")

    def namespaces(self, *names: str) -> Mapping[str, NamespaceInfo]:
        self._ask("namespaces")
        ending = self.terminating.pop(0) if self.terminating else None
        found = {name: NamespaceInfo(labels=self.found[name]) for name in names if name in self.found}
        return found | ({ending: NamespaceInfo(labels={}, terminating=True)} if ending else {})

    def storage_classes(self) -> Mapping[str, bool]:
        self._ask("storage_classes")
        return self.classes

    def version(self) -> tuple[int, int]:
        self._ask("version")
        return self.at

    def serves(self, api: str) -> bool:
        self._ask(f"api {api}")
        return self.kueue

    def has_secret(self, namespace: str, name: str) -> bool:
        self._ask(f"secret {namespace}/{name}")
        return name in self.secrets

    def get(self, path: str, **_: str) -> Any:
        self._ask(path)
        if isinstance(answer := self.objects.get(path, {}), Exception):
            raise answer
        return answer

    def claim(self, namespace: str, name: str) -> str | None:
        self._ask(f"claim {namespace}/{name}")
        return self.volume_uid

    def pods(self, namespace: str, job: str | None = None) -> list[Mapping[str, Any]]:
        self._ask(f"pods {namespace}/{job}")
        return [succeeded()] if self.of_every_job is None else list(self.of_every_job)

    def events(self, namespace: str) -> list[tuple[str, str]]:
        self._ask(f"events {namespace}")
        return []


def succeeded(digest: str = DIGEST) -> dict[str, Any]:
    """Give a pod that pushed an image, as the API has it."""
    state = {"terminated": {"exitCode": 0, "reason": "Completed", "message": digest}}
    return {"status": {"phase": "Succeeded", "containerStatuses": [{"name": "kaniko", "state": state}]}}


def failed(*, container: str = "kaniko", init: bool = False, **terminated: Any) -> dict[str, Any]:
    """Give a pod of which one container ended badly, as the API has it."""
    state = {"terminated": {"exitCode": 1, "reason": "Error", **terminated}}
    kind = "initContainerStatuses" if init else "containerStatuses"
    return {"status": {"phase": "Failed", kind: [{"name": container, "state": state}]}}
