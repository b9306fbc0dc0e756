"""The registry's images in a cluster: how they are copied, and put back.

Consistent is: the registry is scaled to 0 for the copy, so nobody pulls or pushes meanwhile. A pod of the registry's
own image has its volume then, and what runs in there is the image's `tar`.
"""

import contextlib
import http
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from kubernetes import client

from components import labels
from components.kubernetes import restricted, server
from components.kubernetes.endpoints import REGISTRY
from components.kubernetes.namespaces import of_builds
from ops import cluster
from ops.archive import Archive
from ops.clone import short
from ops.stack import Stack
from ops.volume_tar import FOLDER, whole
from setup import console
from setup.console import OpsError

HELPER = "registry-backup"
HELPER_SECONDS = 86_400
"""How long the helper lives, should whoever started it be killed."""

WAIT_SECONDS = 180
"""How long a pod may take to start or end. The registry has a minute to end, a new volume may take longer."""

PACK = f"""
cd / && names=$(find {FOLDER[1:]} -mindepth 1 -maxdepth 1 ! -name lost+found)
if [ -n "$names" ]; then exec tar -cf - $names; fi
head -c 1024 /dev/zero
"""
"""Without the folder itself, whose owner is root: as another user, `tar` could not set its mode again."""


class ClusterStore:
    """Where a stack in a cluster keeps its data. Each method may raise what `cluster.asked` turns into an OpsError."""

    part = "registry.tar"

    def __init__(self, stack: Stack) -> None:
        """Take a stack."""
        self.stack, self.settings = stack, stack.settings
        self.there = cluster.reader(stack)
        self.namespace = self.settings.kubernetes.namespace
        self.core = client.CoreV1Api(self.there.client)
        self.apps, self.server = client.AppsV1Api(self.there.client), server.stateful_set(REGISTRY)
        self.volume = f"The claim {REGISTRY} in the namespace {self.namespace}"
        self.removal = f"{cluster.kubectl(stack)} --namespace {self.namespace} delete pvc {REGISTRY}"

    def save(self, add: Callable[[str, Iterable[bytes]], None]) -> None:
        """Add the registry's volume."""
        claim = self.core.read_namespaced_persistent_volume_claim(REGISTRY, self.namespace)
        if keep := cluster.kept(claim):
            # It would go with the registry's pod, before the helper has it.
            raise OpsError(f"{self.volume} is being deleted, and is gone when its pod ends.", keep)
        pods = self.core.list_namespaced_pod(of_builds(self.namespace)).items
        # What stays there, a watcher of branches or a runner, is an app and has its label.
        busy = [each for each in pods if each.status.phase in {"Pending", "Running"}]
        names = sorted(each.metadata.name for each in busy if labels.APP not in (each.metadata.labels or {}))
        if names:
            raise OpsError(f"Builds are running: {', '.join(names)}.", "Wait until they have ended, then try again.")
        with self._stopped(), self._mounted() as pipe:
            add(self.part, whole(pipe(["sh", "-c", PACK]), self.volume))

    def mark(self) -> str | None:
        """The id of the archive that the volume was made for; empty for any other volume, None where there is none."""
        found = _known(self.core.read_namespaced_persistent_volume_claim, REGISTRY, self.namespace)
        return str((found.metadata.labels or {}).get(labels.RESTORE, "")) if found else None

    def has(self, name: str) -> bool:
        """Whether a file is there, right in the volume."""
        with self._mounted() as pipe:
            whole = name in b"".join(pipe(["ls", "-A", FOLDER])).decode().split()
        if whole:  # of a version that did not note it
            self._note(name.removeprefix(labels.RESTORED_FILE))
        return whole

    def _note(self, archive_id: str) -> None:
        """Write on the claim that it is filled: the program's preflight can't look into it."""
        note = {"metadata": {"annotations": {labels.RESTORED: archive_id}}}
        self.core.patch_namespaced_persistent_volume_claim(REGISTRY, self.namespace, note)

    def make(self, archive_id: str) -> None:
        """Make the claim with a mark, in its namespace and in the place of one that has such a mark."""
        self._remove_helper()
        if self.mark():
            self.remove()
            _until(lambda: self.mark() is None, f"the end of the claim {REGISTRY}")
        if not _known(self.core.read_namespace, self.namespace):
            marks = labels.of(self.stack.clone.name, short(self.stack.name))
            self.core.create_namespace({"metadata": {"name": self.namespace, "labels": marks}})
        wanted = self.settings.registry
        size = {"requests": {"storage": f"{wanted.storage_gib}Gi"}}
        spec = {"accessModes": ["ReadWriteOnce"], "resources": size, "storageClassName": wanted.storage_class}
        meta = {"name": REGISTRY, "labels": {labels.RESTORE: archive_id}}
        self.core.create_namespaced_persistent_volume_claim(self.namespace, {"metadata": meta, "spec": spec})

    def remove(self) -> None:
        """Remove the claim."""
        self.core.delete_namespaced_persistent_volume_claim(REGISTRY, self.namespace)

    def fill(self, archive_id: str, tars: Iterable[tuple[Iterable[bytes], int]]) -> None:
        """Unpack tars of these sizes in the volume, and note it."""
        with self._mounted() as pipe:
            for pieces, length in tars:
                deque(pipe(["sh", "-c", f"head -c {length} | tar -xf - -C /"], pieces), maxlen=0)
        self._note(archive_id)

    @contextlib.contextmanager
    def _mounted(self) -> Iterator[Callable[..., Iterator[bytes]]]:
        """Mount the volume that is there in the helper. Gives what runs a command in it, like `cluster.pipe`."""
        self._remove_helper()
        self.core.create_namespaced_pod(self.namespace, helper(self.settings.registry.image))
        try:
            ask = self.core.read_namespaced_pod
            _until(lambda: ask(HELPER, self.namespace).status.phase == "Running", f"the pod {HELPER}")
            yield lambda *words: cluster.pipe(self.there, self.namespace, HELPER, *words)
        finally:
            self._remove_helper()

    def adopt(self, outputs: dict[str, Any]) -> None:
        """Name this volume as that of the builds: one is done only where its image's volume is what it pushed to."""
        claim = self.core.read_namespaced_persistent_volume_claim(REGISTRY, self.namespace)
        outputs["registryVolume"] = claim.metadata.uid

    def finish(self, _: Archive) -> None:
        """Nothing."""

    def heal(self) -> bool:
        """Start a registry that is at 0 by a backup, and end the helper, which may hold the volume.

        Returns whether the registry is there.
        """
        replicas = self._replicas()
        if replicas == 0:
            self._remove_helper()
            self.apps.patch_namespaced_stateful_set_scale(self.server, self.namespace, {"spec": {"replicas": 1}})
            console.note("started the registry, which a backup had stopped")
        return replicas is not None

    @contextlib.contextmanager
    def _stopped(self) -> Iterator[None]:
        """Scale the registry to 0 if it is there, and back in the end."""
        try:
            if self._replicas() is not None:
                console.note(f"stopping the registry; should this be killed, `{self.stack.make('up')}` starts it again")
                self.apps.patch_namespaced_stateful_set_scale(self.server, self.namespace, {"spec": {"replicas": 0}})
                self._await_end(f"{self.server}-0")
            yield
        finally:
            self.heal()

    def _replicas(self) -> int | None:
        found = _known(self.apps.read_namespaced_stateful_set, self.server, self.namespace)
        return int(found.spec.replicas) if found else None

    def _remove_helper(self) -> None:
        _known(self.core.delete_namespaced_pod, HELPER, self.namespace, grace_period_seconds=0)
        self._await_end(HELPER)

    def _await_end(self, pod: str) -> None:
        _until(lambda: not _known(self.core.read_namespaced_pod, pod, self.namespace), f"the end of the pod {pod}")


def helper(image: str) -> dict[str, Any]:
    """The pod that has the volume. It passes Pod Security `restricted`, and has the rights of the registry's own."""
    user, mount = restricted.USER, {"name": "data", "mountPath": FOLDER}
    confined = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    container = {"name": "volume", "image": image, "command": ["sleep", str(HELPER_SECONDS)], "volumeMounts": [mount]}
    resources = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}
    identity = {"runAsUser": user, "runAsGroup": user, "fsGroup": user, "fsGroupChangePolicy": "OnRootMismatch"}
    spec = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": HELPER_SECONDS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {**identity, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{**container, "securityContext": confined, "resources": resources}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": REGISTRY}}],
    }
    return {"metadata": {"name": HELPER, "labels": {labels.APP: HELPER}}, "spec": spec}


def _known(ask: Callable[..., Any], *where: str, **how: int) -> Any:  # noqa: ANN401 - the client's
    """The answer; None where there is no such object."""
    try:
        return ask(*where, **how)
    except client.ApiException as error:
        if error.status != http.HTTPStatus.NOT_FOUND:
            raise
        return None


def _until(ask: Callable[[], bool], what: str) -> None:
    """Ask until it is so. Raises OpsError when it takes too long."""
    end = time.monotonic() + WAIT_SECONDS
    while not ask():
        if time.monotonic() > end:
            raise OpsError(
                f"Waited {WAIT_SECONDS} s for {what}.", "See kubectl get events, in the registry's namespace"
            )
        time.sleep(0.3)
