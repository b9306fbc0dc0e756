"""How a stack on Kubernetes is: its registry, the registry's volume, and each of its builds."""

import datetime as dt
import http
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

from kubernetes import client

from components import labels
from components.kubernetes import buildkit, endpoints, namespaces
from components.kubernetes.cluster import ApiReader
from components.settings import Settings
from components.settings.buildkit import BuildkitSettings
from ops import builds, cluster, cluster_access, gitlab
from ops.finding import Finding
from ops.toolchain.console import OpsError

DATA = "/var/lib/registry"
"""Where the registry's volume is in its pod."""

FULL_PERCENT = 90
"""How full a volume may be before it is no longer well. A push that finds it full fails."""

REMEDY = "Raise ci:registry.storageGib, or delete images and let the garbage be collected"


def examine(
    there: ApiReader, settings: Settings, resources: Sequence[Mapping[str, Any]], outputs: Mapping[str, Any]
) -> Iterator[Finding]:
    """Find everything that is running, or should be.

    Args:
        there: the stack's cluster.
        settings: the stack's.
        resources: the state's.
        outputs: the stack's.
    """
    namespace = settings.kubernetes.namespace
    try:
        with cluster.asked():
            version = client.VersionApi(there.client).get_code().git_version
            yield Finding("cluster", f"{version} at {there.client.configuration.host}")
            yield _access(there, resources)
            for name in ("registry", "mirror") if settings.registry.mirror else ("registry",):
                pod = yield from _pod(there, namespace, name)
                if pod:
                    yield _volume(there, namespace, name, pod=pod, container=name, data=DATA, remedy=REMEDY)
            if settings.buildkit is not None:
                yield from _daemons(there, namespaces.of_buildkit(namespace), settings.buildkit, outputs)
            if settings.gitlab_runner is not None:
                pod = yield from _pod(there, namespace, "gitlab-runner")
                if pod:
                    yield gitlab.known(*cluster.run(there, namespace, pod, "gitlab-runner", gitlab.VERIFY))
            said: dict[str, str] = {}
            if any(build.on_push for build in settings.builds):
                pod = yield from _pod(there, namespace, "push")
                said = _said(there, namespace, pod) if pod else {}
            jobs = builds.deployed_jobs(resources)
            images = outputs.get("images") or {}
            yield from builds.examine(there, f"{namespace}-builds", settings.builds, jobs, images, said)
    except OpsError as error:
        yield Finding("cluster", f"{error.what}; `make doctor` says more", "BAD")


def _daemons(
    there: ApiReader, namespace: str, wanted: BuildkitSettings, outputs: Mapping[str, Any]
) -> Iterator[Finding]:
    """Find how each BuildKit daemon is, its volume, and whether the certificates are still valid."""
    for replica in range(wanted.replicas):
        name = f"buildkit-{replica}"
        pod = yield from _pod(there, namespace, name, "statefulset.kubernetes.io/pod-name")
        if pod:
            place = {"pod": pod, "container": endpoints.BUILDKIT, "data": buildkit.VOLUME}
            yield _volume(there, namespace, f"cache-{name}", **place, remedy="Raise ci:buildkit.storageGib")
    expires = (outputs.get("buildkit") or {}).get("certificateExpires")
    if expires:
        yield certificates(expires)


def certificates(expires: str) -> Finding:
    """Say whether the daemons' certificates are valid still. expires: the day, as 2027-01-31."""
    over = dt.datetime.now(dt.UTC).strftime("%F") >= expires
    seen = f"valid until {expires}"
    return Finding("buildkit certificates", seen, *(("BAD", "`make up` renews them") if over else ()))


def _access(there: ApiReader, resources: Sequence[Mapping[str, Any]]) -> Finding:
    """Find what bounds access and was changed by hand."""
    try:
        changed = ", ".join(cluster_access.changed(there, resources, mend=False))
    except client.ApiException as error:
        if error.status != http.HTTPStatus.FORBIDDEN:
            raise
        return Finding("access", "not compared: that takes the right to patch, which this user lacks", "note")
    seen = f"changed by hand: {changed}; `make up` puts it back" if changed else "as declared"
    return Finding("access", seen, "BAD" if changed else "ok")


def _pod(there: ApiReader, namespace: str, app: str, label: str = labels.APP) -> Generator[Finding, None, str]:
    """Find how the newest pod with a label is. Return its name if it is ready."""
    title = f"{app} pod"
    pods = client.CoreV1Api(there.client).list_namespaced_pod(namespace, label_selector=f"{label}={app}").items
    if not pods:
        yield Finding(title, f"gone from {namespace}; `make up` brings it back", "BAD")
        return ""
    pod = max(pods, key=lambda each: each.metadata.creation_timestamp)
    status = pod.status
    containers = [*(status.init_container_statuses or []), *(status.container_statuses or [])]
    restarts = f"{sum(each.restart_count for each in containers)} restarts"
    conditions = status.conditions or []
    if any((each.type, each.status) == ("Ready", "True") for each in conditions):
        yield Finding(title, f"ready since {status.start_time:{builds.FORMAT}}, {restarts}")
        return str(pod.metadata.name)
    ends = [end for each in containers if (end := each.state and (each.state.waiting or each.state.terminated))]
    reasons = [f"{end.reason or ''} {end.message or ''}".strip() for end in ends if end.reason != "Completed"]
    reasons += [each.message for each in conditions if each.message]
    yield Finding(title, f"not ready ({status.phase}, {restarts}): {(*reasons, 'it starts')[0]}", "BAD")
    return ""


def _said(there: ApiReader, namespace: str, pod: str) -> dict[str, str]:
    """Return the last line that the watcher of branches said of each build."""
    log = client.CoreV1Api(there.client).read_namespaced_pod_log(pod, namespace, container="watcher", tail_lines=1000)
    lines = [line.removeprefix("build ").split(": ", 1) for line in log.splitlines() if line.startswith("build ")]
    return {build: line for build, line in lines}  # noqa: C416 - a list of pairs, for mypy


def _volume(  # noqa: PLR0913 - where it is, and what to do
    there: ApiReader, namespace: str, claim: str, *, pod: str, container: str, data: str, remedy: str
) -> Finding:
    """Find how full a volume is, as its pod sees it: the API itself does not tell."""
    title = f"{claim} volume"
    volume = client.CoreV1Api(there.client).read_namespaced_persistent_volume_claim(claim, namespace)
    size = (volume.status.capacity or {}).get("storage", "unknown size")
    try:
        _, said = cluster.run(there, namespace, pod, container, ("df", "-Pk", data))
        _, blocks, used, _, percent, *_ = said.strip().splitlines()[-1].split()
        filled, total = int(percent.rstrip("%")), int(blocks) / 2**20
    except (ValueError, IndexError):
        return Finding(title, f"{size}; how full it is could not be asked")
    # A volume that is a folder of the node shows the node's disk, which others fill as well.
    shown = f"{size}; {filled} % of its file system of {total:.0f} GiB is full ({int(used) / 2**20:.1f} GiB)"
    if filled < FULL_PERCENT:
        return Finding(title, shown)
    return Finding(title, shown, "BAD", remedy)
