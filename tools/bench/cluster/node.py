"""What the benchmark asks of the cluster: to clean up, and how long a build's Job and how much memory its pod took."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from components import labels
from ops.cluster import ApiError, Cluster, Place
from ops.toolchain.errors import Trouble
from tools.bench import groups

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LABEL: Final = "app.kubernetes.io/part-of=ci"
"""What every Job of a build carries, and its pod and context."""

LOOK_SECONDS: Final = 0.1
"""Time between two looks at a Job and at its pod's memory."""

_GROUPS: Final = (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))
"""Where control groups count memory: version 1, version 2."""
_PEAK: Final = ("memory.max_usage_in_bytes", "memory.peak")
"""The kernel's own mark of the highest use, page cache included. Source: its cgroup-v1/memory.rst, cgroup-v2.rst."""
_KINDS: Final = ("jobs", "configmaps")
_WAIT_SECONDS: Final = 180


class Node:
    """A cluster whose node is on this machine."""

    def __init__(self, kubeconfig: Path, kubectl: Path) -> None:
        """Take how it is reached."""
        self._kubectl = kubectl
        self._kubeconfig = kubeconfig
        self._api = Cluster(Place(kubeconfig=kubeconfig, context=None, lab=True))

    def version(self) -> str:
        """Give the API server's version, `v1.34.4`."""
        return str(self._api.ask("/version")["gitVersion"])

    def words(self, *words: str) -> tuple[str, ...]:
        """Give the words of a kubectl command."""
        return (str(self._kubectl), "--kubeconfig", str(self._kubeconfig), *words)

    def remove_namespaces(self, names: Iterable[str]) -> None:
        """Delete those of the namespaces that there are with all that is in them, and wait until they are gone."""
        self._run("delete", "namespace", "--ignore-not-found", "--wait=true", f"--timeout={_WAIT_SECONDS}s", *names)

    def remove_builds(self, namespace: str, *, but: str) -> None:
        """Delete the Jobs and contexts of all builds but one, with their pods, and wait until they are gone."""
        chosen = f"{LABEL},{labels.BUILD}!={but}"
        self._run("delete", ",".join(_KINDS), "--namespace", namespace, "--selector", chosen, "--wait=true")
        end = time.monotonic() + _WAIT_SECONDS
        while self._api.items(f"/api/v1/namespaces/{namespace}/pods", labelSelector=chosen):
            if time.monotonic() > end:
                raise Trouble(f"The pods of {namespace} are still there after {_WAIT_SECONDS} s.")
            time.sleep(LOOK_SECONDS)

    def _run(self, *words: str) -> None:
        done = subprocess.run(self.words(*words), capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise Trouble(f"kubectl {words[0]} ended with {done.returncode}: {done.stderr.strip()}")

    @contextlib.contextmanager
    def watching(self, namespace: str, build: str) -> Iterator[Watch]:
        """Watch the newest Job of a build while the block runs."""
        watch = Watch()
        known = {job["metadata"]["name"] for job in self._jobs(namespace, build)}
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(LOOK_SECONDS):
                with contextlib.suppress(ApiError):  # the next look may have an answer
                    self._look(watch, namespace, build, known)

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield watch
        finally:
            ended.set()
            thread.join()

    def _jobs(self, namespace: str, build: str) -> list[dict[str, Any]]:
        path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        return self._api.items(path, labelSelector=f"{labels.BUILD}={build}")

    def _look(self, watch: Watch, namespace: str, build: str, known: set[str]) -> None:
        new = [job for job in self._jobs(namespace, build) if job["metadata"]["name"] not in known]
        for job in new[:1]:
            now = time.monotonic()
            watch.begun = watch.begun or now
            conditions = (job.get("status") or {}).get("conditions") or []
            if any(entry["type"] == "Complete" and entry["status"] == "True" for entry in conditions):
                watch.ended = watch.ended or now
                return
            path = f"/api/v1/namespaces/{namespace}/pods"
            for pod in self._api.items(path, labelSelector=f"job-name={job['metadata']['name']}"):
                watch.weigh(str(pod["metadata"]["uid"]))


@dataclasses.dataclass
class Watch:
    """What was seen of one Job."""

    begun: float = 0.0
    ended: float = 0.0
    peak: int = 0
    """The most memory that its pod used, bytes, page cache included."""
    anonymous: int = 0
    """The most of it that was no page cache, bytes, at some look."""
    _group: Path | None = None

    @property
    def seconds(self) -> float:
        """How long the Job took from when it was there to when it was complete, to LOOK_SECONDS.

        Raises:
            Trouble: where no Job was seen to begin and end.
        """
        if not self.begun or not self.ended:
            raise Trouble("No Job of the build was seen to begin and to end.")
        return self.ended - self.begun

    def weigh(self, pod: str) -> None:
        """Look at the memory of a pod's control group."""
        self._group = self._group or group(pod)
        if self._group is None:
            return
        with contextlib.suppress(OSError):  # it has ended since
            for file in _PEAK:
                mark = self._group / file
                if mark.exists():
                    self.peak = max(self.peak, int(mark.read_text()))
            self.anonymous = max(self.anonymous, groups.anonymous((self._group / "memory.stat").read_text()))


def group(pod: str) -> Path | None:
    """Give the control group of a pod of this machine, by the pod's uid; None where there is none."""
    marks = {f"pod{pod}", f"pod{pod.replace('-', '_')}.slice"}
    for root in _GROUPS:
        for pattern in ("*/kubepods/*/*", "*/kubepods/*", "kubepods*/*/*"):
            for found in root.glob(pattern):
                if found.name in marks or any(found.name.endswith(mark) for mark in marks):
                    return found
    return None
