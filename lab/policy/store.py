"""A copy of the cluster's objects that is kept up to date by watching the API server."""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = {
    "pods": "/api/v1/pods",
    "namespaces": "/api/v1/namespaces",
    "policies": "/apis/networking.k8s.io/v1/networkpolicies",
}
WATCH_SECONDS = 300
AGAIN_SECONDS = 0.5
Object = dict[str, Any]


class Store:
    """Pods, namespaces and NetworkPolicies by kind and (namespace, name)."""

    def __init__(self, api: str, ca: str, certificate: tuple[str, str], changed: Callable[[], None]) -> None:
        """Take the API server's address and the client's certificate and key; `changed` is called after each change."""
        self._api, self._ca, self._certificate, self._changed = api, ca, certificate, changed
        self._objects: dict[str, dict[tuple[str, str], Object]] = {kind: {} for kind in KINDS}
        self._lock = threading.Lock()
        self._listed = {kind: threading.Event() for kind in KINDS}

    def start(self) -> None:
        """Follow every kind in the background, and wait until each was listed once."""
        for kind in KINDS:
            threading.Thread(target=self._follow, args=(kind,), daemon=True, name=f"watch {kind}").start()
        for event in self._listed.values():
            event.wait()

    def all_of(self, kind: str) -> list[Object]:
        """Every object of a kind, as it was last seen."""
        with self._lock:
            return list(self._objects[kind].values())

    def pod(self, namespace: str, name: str) -> Object | None:
        """A pod, asked for when the watch has not told of it yet. None when there is none.

        Raises:
            requests.RequestException: when the API server can't be asked.
        """
        with self._lock:
            known = self._objects["pods"].get((namespace, name))
        if known:
            return known
        with self._session() as session:
            answer = session.get(f"{self._api}/api/v1/namespaces/{namespace}/pods/{name}", timeout=5)
        if answer.status_code == requests.codes.not_found:
            return None
        answer.raise_for_status()
        found: Object = answer.json()
        with self._lock:
            return self._objects["pods"].setdefault((namespace, name), found)

    def _session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.verify, session.cert = self._ca, self._certificate
        return session

    def _follow(self, kind: str) -> None:
        while True:
            try:
                self._list_and_watch(kind)
            except (requests.RequestException, ValueError, KeyError) as lost:
                sys.stderr.write(f"following {kind}: {type(lost).__name__}: {lost}\n")
                time.sleep(AGAIN_SECONDS)

    def _list_and_watch(self, kind: str) -> None:
        url = f"{self._api}{KINDS[kind]}"
        with self._session() as session:
            listed = session.get(url, timeout=30)
            listed.raise_for_status()
            body = listed.json()
            with self._lock:
                self._objects[kind] = {_key(item): item for item in body.get("items") or []}
            self._listed[kind].set()
            self._changed()
            version = body["metadata"]["resourceVersion"]
            ask = {"watch": "1", "resourceVersion": version, "timeoutSeconds": str(WATCH_SECONDS)}
            with session.get(url, params=ask, stream=True, timeout=(30, WATCH_SECONDS + 30)) as events:
                events.raise_for_status()
                # Without a size of one, requests holds events back until half a kilobyte of them has come.
                for line in events.iter_lines(chunk_size=1):
                    if line and not self._take(kind, json.loads(line)):
                        return

    def _take(self, kind: str, event: Object) -> bool:
        """Take one event in. False when the watch is of no more use, and the objects must be listed again."""
        if event["type"] == "ERROR":
            return False
        item = event["object"]
        with self._lock:
            if event["type"] == "DELETED":
                self._objects[kind].pop(_key(item), None)
            else:
                self._objects[kind][_key(item)] = item
        self._changed()
        return True


def _key(item: Object) -> tuple[str, str]:
    meta = item["metadata"]
    return meta.get("namespace", ""), meta["name"]
