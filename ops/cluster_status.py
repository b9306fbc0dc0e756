"""How a stack on Kubernetes is: its registry, the registry's volume, and each of its builds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from components import labels
from ops import builds, gitlab
from ops.cluster import ApiError, Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from components.settings import Settings

DATA = "/var/lib/registry"
"""Where the registry's volume is in its pod."""

FULL_PERCENT = 90
"""How full a volume may be before it is no longer well. A push that finds it full fails."""

Row = tuple[str, str, bool]
"""What, how it is, and whether that is well."""


def rows(
    cluster: Cluster, settings: Settings, resources: Sequence[Mapping[str, Any]], found: Mapping[str, Any]
) -> Iterator[Row]:
    """Everything that is running, or should be.

    Args:
        cluster: the stack's.
        settings: the stack's.
        resources: the state's.
        found: the stack's outputs.
    """
    namespace = settings.kubernetes.namespace
    try:
        yield "cluster", f"{cluster.ask('/version')['gitVersion']} at {cluster.server}", True
        servers = ["registry", "mirror"] if settings.registry.mirror else ["registry"]
        for name in servers:
            yield from _server(cluster, namespace, name)
        if settings.gitlab_runner is not None:
            yield from _runner(cluster, namespace)
        yield from _builds(cluster, f"{namespace}-builds", settings, resources, found)
    except ApiError as error:
        yield "cluster", f"{error.what}; `make doctor` says more", False


def _server(cluster: Cluster, namespace: str, name: str) -> Iterator[Row]:
    """A registry's pod, and how full its volume is."""
    pod, title = cluster.find(f"/api/v1/namespaces/{namespace}/pods/{name}-server-0"), f"{name} pod"
    if pod is None:
        yield title, f"gone from {namespace}; `make up` brings it back", False
        return
    ready, said = readiness(pod)
    yield title, said, ready
    if ready:
        claim = cluster.find(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}") or {}
        size = ((claim.get("status") or {}).get("capacity") or {}).get("storage", "unknown size")
        yield from _volume(cluster, namespace, name, size)


def _runner(cluster: Cluster, namespace: str) -> Iterator[Row]:
    """The GitLab Runner's pod, and whether GitLab knows it."""
    title = "gitlab-runner pod"
    found = cluster.items(f"/api/v1/namespaces/{namespace}/pods", labelSelector="app.kubernetes.io/name=gitlab-runner")
    if not found:
        yield title, f"gone from {namespace}; `make up` brings it back", False
        return
    newest = max(found, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))
    ready, said = readiness(newest)
    yield title, said, ready
    if ready:
        well, said = gitlab.known(lambda words: _answer(cluster, namespace, newest["metadata"]["name"], words))
        yield "GitLab", said, well


def _answer(cluster: Cluster, namespace: str, pod: str, words: list[str]) -> tuple[int, str]:
    """Run words in a pod; give 0 and what was printed, or another code and why it failed."""
    try:
        # The API gives no exit code with what was printed, so a shell puts it behind.
        said = cluster.run(namespace, pod, "sh", "-c", '"$@" 2>&1; echo "$?"', "sh", *words)
        text, _, code = said.strip().rpartition("\n")
        return int(code), text
    except (ApiError, ValueError) as failed:
        return 1, str(failed)


def readiness(pod: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether a pod is ready, and what is known of it."""
    status = pod.get("status") or {}
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    restarts = sum(int(each.get("restartCount") or 0) for each in containers)
    ready = any(
        entry.get("type") == "Ready" and entry.get("status") == "True" for entry in status.get("conditions") or []
    )
    if ready:
        return True, f"ready since {str(status.get('startTime', ''))[:19]}Z, {restarts} restarts"
    reasons = [
        f"{state.get('reason', '')} {state.get('message', '')}".strip()
        for each in containers
        for kind, state in (each.get("state") or {}).items()
        if kind in {"waiting", "terminated"} and state.get("reason") != "Completed"
    ]
    reasons += [str(entry.get("message")) for entry in status.get("conditions") or [] if entry.get("message")]
    return False, f"not ready ({status.get('phase')}, {restarts} restarts): {reasons[0] if reasons else 'it starts'}"


def _volume(cluster: Cluster, namespace: str, name: str, size: str) -> Iterator[Row]:
    """How full a volume is, as the registry's pod sees it: the API itself does not tell."""
    title = f"{name} volume"
    try:
        said = cluster.run(namespace, f"{name}-server-0", "df", "-Pk", DATA)
        _, blocks, used, _, percent, *_ = said.strip().splitlines()[-1].split()
        filled, total = int(percent.rstrip("%")), int(blocks) / 2**20
    except (ApiError, ValueError, IndexError):
        yield title, f"{size}; how full it is could not be asked", True
        return
    well = filled < FULL_PERCENT
    advice = "" if well else "; raise ci:registry.storageGib, or delete images and let the garbage be collected"
    # A volume that is a folder of the node shows the node's disk, which others fill as well.
    shown = f"{size}; {filled} % of its file system of {total:.0f} GiB is full ({int(used) / 2**20:.1f} GiB)"
    yield title, f"{shown}{advice}", well


def _builds(
    cluster: Cluster,
    namespace: str,
    settings: Settings,
    resources: Sequence[Mapping[str, Any]],
    outputs: Mapping[str, Any],
) -> Iterator[Row]:
    batch = f"/apis/batch/v1/namespaces/{namespace}"
    found = builds.Found(
        cluster.items(f"{batch}/jobs", labelSelector=labels.BUILD),
        cluster.items(f"{batch}/cronjobs", labelSelector=labels.BUILD),
        cluster.items(f"/api/v1/namespaces/{namespace}/pods", labelSelector=labels.BUILD),
    )
    jobs = builds.deployed_jobs(resources)
    failed = [job for job in jobs.values() if builds.outcome(found.jobs.get(job)) == "failed"]
    events = {job: _events(cluster, namespace, job) for job in failed}
    yield from builds.rows(settings.builds, jobs, outputs.get("images") or {}, found, events)


def _events(cluster: Cluster, namespace: str, job: str) -> list[str]:
    """The warnings about a Job, the newest first."""
    listed = cluster.items(
        f"/api/v1/namespaces/{namespace}/events", fieldSelector=f"involvedObject.name={job},type=Warning"
    )
    listed.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""), reverse=True)
    return [str(event.get("message", "")) for event in listed]
