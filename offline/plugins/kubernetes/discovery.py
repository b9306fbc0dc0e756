"""What kinds of objects the API server has, asked once each."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..rpc import PluginError
from .api import Api, StatusError, segment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .objects import Kind


class NoMatchError(PluginError):
    """The API server knows no such kind: most often its custom resource definition is not there yet."""


@dataclass(frozen=True)
class Resource:
    """Where the objects of a kind are: `Resource("/apis/apps/v1", "deployments", True)`."""

    root: str
    plural: str
    namespaced: bool

    def collection(self, namespace: str = "") -> str:
        """Give the path of all objects, of one namespace or of the cluster."""
        within = f"/namespaces/{segment(namespace)}" if self.namespaced and namespace else ""
        return f"{self.root}{within}/{self.plural}"

    def path(self, namespace: str, name: str) -> str:
        """Give the path of one object; one that must be in a namespace and names none is in `default`."""
        return f"{self.collection(namespace or 'default')}/{segment(name)}"


class Discovery:
    """The kinds of one cluster. What is found is kept for the life of the process; what is not is asked again."""

    def __init__(self, api: Api) -> None:
        """Ask `api`."""
        self._api = api
        self._lock = threading.Lock()
        self._known: dict[str, Mapping[str, Resource]] = {}
        self._asking: dict[str, threading.Lock] = {}

    def find(self, kind: Kind) -> Resource:
        """Give where the objects of a kind are.

        Raises:
            NoMatchError: there is no such kind.
        """
        found = self._of(kind).get(kind.name)
        if found is None:
            raise NoMatchError(f'no matches for kind "{kind.name}" in version "{kind.api_version}"')
        return found

    def has(self, kind: Kind) -> bool:
        """Say whether there is such a kind."""
        try:
            self.find(kind)
        except NoMatchError:
            return False
        return True

    def _of(self, kind: Kind) -> Mapping[str, Resource]:
        version = kind.api_version
        with self._lock:
            asking = self._asking.setdefault(version, threading.Lock())
        with asking:
            known = self._known.get(version, {})
            if kind.name not in known:
                known = self._known[version] = self._ask(kind)
            return known

    def _ask(self, kind: Kind) -> Mapping[str, Resource]:
        root = f"/apis/{segment(kind.group)}/{segment(kind.version)}" if kind.group else f"/api/{segment(kind.version)}"
        try:
            listed = self._api.get(root).get("resources") or ()
        except StatusError as error:
            if error.not_found:
                return {}
            raise
        return {
            entry["kind"]: Resource(root, entry["name"], bool(entry.get("namespaced")))
            for entry in listed
            if "/" not in entry["name"]
        }
