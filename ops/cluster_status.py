"""How a stack on Kubernetes is: its servers with their volumes, and each of its builds."""

import datetime as dt
import functools
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from kubernetes import client

from components import labels
from components.kubernetes import declared, endpoints, named, results
from components.kubernetes.cluster import JOB_LABEL, ApiReader, ForbiddenError, about
from components.kubernetes.namespaces import of_buildkit, of_builds
from components.kubernetes.plan import template_name
from components.settings import Settings
from ops import cluster, gitlab
from ops.finding import Finding
from setup.console import OpsError

FULL_PERCENT = 90
"""How full a volume may be before it is no longer well. A push that finds it full fails."""

FORMAT = "%Y-%m-%d %H:%M:%S UTC"


def examine(
    there: ApiReader, settings: Settings, resources: Sequence[Mapping[str, Any]], outputs: Mapping[str, Any]
) -> Iterator[Finding]:
    """Find everything that is running, or should be, by the stack's settings, its state's resources, its outputs."""
    namespace, said = settings.kubernetes.namespace, {}
    apps = {
        endpoints.REGISTRY: True,
        endpoints.MIRROR: settings.registry.mirror,
        "gitlab-runner": settings.gitlab_runner,
        "push": any(build.on_push for build in settings.builds),
    }
    remedy = "Raise ci:registry.storageGib, or delete images and let the garbage be collected"
    servers = [(namespace, app, labels.APP, remedy) for app, wanted in apps.items() if wanted]
    daemons = [f"{endpoints.BUILDKIT}-{replica}" for replica in range(getattr(settings.buildkit, "replicas", 0))]
    # Kubernetes' own label on a StatefulSet's pods.
    label = "statefulset.kubernetes.io/pod-name"
    servers += [(of_buildkit(namespace), name, label, "Raise ci:buildkit.storageGib") for name in daemons]
    try:
        with cluster.asked():
            version = client.VersionApi(there.client).get_code().git_version
            yield Finding("cluster", f"{version} at {there.client.configuration.host}")
            yield _access(there, resources)
            if settings.kubernetes.isolation is not None:
                yield _isolation(there)
            for where, name, label, remedy in servers:
                pod = yield from _pod(there, where, name, label)
                if pod:
                    yield from _volumes(there, pod, remedy)
                if pod and name == "gitlab-runner":
                    yield gitlab.known(cluster.printed(there, pod, name, gitlab.VERIFY))
                if pod and name == "push":
                    said = _said(there, pod)
            if expires := (outputs.get("buildkit") or {}).get("certificateExpires"):
                yield certificates(expires)
            yield from builds(there, settings, resources, outputs, said)
    except OpsError as error:
        yield Finding("cluster", f"{error.what}; `make doctor` says more", "unknown")


def certificates(expires: str) -> Finding:
    """Say whether the BuildKit daemons' certificates are valid still. expires: the day, as 2027-01-31."""
    bad = ("BAD", "`make up` renews them") if f"{dt.datetime.now(dt.UTC):%F}" >= expires else ()
    return Finding("buildkit certificates", f"valid until {expires}", *bad)


def _access(there: ApiReader, resources: Sequence[Mapping[str, Any]]) -> Finding:
    """Find what bounds access and was changed by hand."""
    try:
        changed = ", ".join(declared.changed(there, resources))
    except ForbiddenError:
        return Finding("access", "not compared: this user lacks the right to patch, which that needs", "note")
    seen = f"changed by hand: {changed}; the next update puts it back" if changed else "as declared"
    return Finding("access", seen, "BAD" if changed else "ok")


def _isolation(there: ApiReader) -> Finding:
    """Find whether the nodes have user namespaces, in which root in a build is nobody on its node."""
    try:
        nodes = (there.get("/api/v1/nodes") or {}).get("items", [])
    except ForbiddenError:
        return Finding("isolation", "userNamespaces; the nodes are not looked at, since this user may not", "note")
    lacking = "; ".join(filter(None, map(named.without_user_namespaces, nodes)))
    seen = f"userNamespaces, and builds fail on {lacking}" if lacking else "userNamespaces, which each node has"
    return Finding("isolation", seen, "BAD" if lacking else "ok")


def _pod(there: ApiReader, namespace: str, name: str, label: str) -> Generator[Finding, None, client.V1Pod | None]:
    """Find how the newest pod with a label is. Return it if it is ready."""
    title = f"{name} pod"
    pods = client.CoreV1Api(there.client).list_namespaced_pod(namespace, label_selector=f"{label}={name}").items
    if not pods:
        yield Finding(title, f"gone from {namespace}; `make up` brings it back", "BAD")
        return None
    pod = max(pods, key=lambda each: each.metadata.creation_timestamp)
    status = pod.status
    containers = [*(status.init_container_statuses or []), *(status.container_statuses or [])]
    restarts = f"{sum(each.restart_count for each in containers)} restarts"
    conditions = status.conditions or []
    if any((each.type, each.status) == ("Ready", "True") for each in conditions):
        yield Finding(title, f"ready since {status.start_time:{FORMAT}}, {restarts}")
        return pod
    ends = [end for each in containers if (end := each.state and (each.state.waiting or each.state.terminated))]
    reasons = [f"{end.reason or ''} {end.message or ''}".strip() for end in ends if end.reason != "Completed"]
    reasons += [each.message for each in conditions if each.message]
    yield Finding(title, f"not ready ({status.phase}, {restarts}): {(*reasons, 'it starts')[0]}", "BAD")
    return None


def _said(there: ApiReader, pod: client.V1Pod) -> dict[str, str]:
    """Return the last line that the watcher of branches said of each build."""
    where = {"name": pod.metadata.name, "namespace": pod.metadata.namespace, "container": "watcher"}
    log = client.CoreV1Api(there.client).read_namespaced_pod_log(**where, tail_lines=1000)
    lines = [line.removeprefix("build ").partition(": ") for line in log.splitlines() if line.startswith("build ")]
    return {build: line for build, _, line in lines}


def _volumes(there: ApiReader, pod: client.V1Pod, remedy: str) -> Iterator[Finding]:
    """Find how full each volume of a pod is, as the pod sees it: the API itself does not tell."""
    kept = [each for each in pod.spec.volumes or [] if each.persistent_volume_claim]
    claims = {each.name: each.persistent_volume_claim.claim_name for each in kept}
    for container in pod.spec.containers:
        for mount in container.volume_mounts or []:
            if claim := claims.pop(mount.name, ""):
                df = cluster.printed(there, pod, container.name, ["df", "-Pk", mount.mount_path])
                live = client.CoreV1Api(there.client).read_namespaced_persistent_volume_claim
                found = live(claim, pod.metadata.namespace)
                size = (found.status.capacity or {}).get("storage", "unknown size")
                if keep := cluster.kept(found):
                    yield Finding(f"{claim} volume", f"{size}; being deleted, and gone when its pod ends", "BAD", keep)
                else:
                    yield _full(f"{claim} volume", size, df, remedy)


def _full(title: str, size: str, df: str, remedy: str) -> Finding:
    try:
        _, blocks, used, _, percent, *_ = df.strip().splitlines()[-1].split()
        filled, total = int(percent.rstrip("%")), int(blocks) / 2**20
    except (ValueError, IndexError):
        return Finding(title, f"{size}; how full it is could not be asked")
    # A volume that is a folder of the node shows the node's disk, which others fill as well.
    shown = f"{size}; {filled} % of its file system of {total:.0f} GiB is full ({int(used) / 2**20:.1f} GiB)"
    return Finding(title, shown, "BAD", remedy) if filled >= FULL_PERCENT else Finding(title, shown)


def deployed_jobs(resources: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The Job that the state has for each build, by the build's name."""
    jobs = [each for each in resources if each["type"] == "kubernetes:batch/v1:Job" and not each.get("delete")]
    known = [(meta.get("labels") or {}, meta["name"]) for meta in (each["inputs"]["metadata"] for each in jobs)]
    return {marks[labels.BUILD]: name for marks, name in known if labels.BUILD in marks}


def builds(
    there: ApiReader,
    settings: Settings,
    resources: Sequence[Mapping[str, Any]],
    outputs: Mapping[str, Any],
    said: Mapping[str, str],
) -> Iterator[Finding]:
    """Find how each build is, and each schedule.

    resources: the state's.
    outputs: those of the last update that ended well.
    said: the last line that the watcher of branches said of each build.
    """
    namespace, deployed = of_builds(settings.kubernetes.namespace), deployed_jobs(resources)
    images, pushed = outputs.get("images") or {}, outputs.get("builds") or {}
    batch = client.BatchV1Api(there.client)
    ours = {"namespace": namespace, "label_selector": labels.BUILD}
    jobs = {job.metadata.name: job for job in batch.list_namespaced_job(**ours).items}
    schedules = {each.metadata.name: each for each in batch.list_namespaced_cron_job(**ours).items}

    # Once for all builds that failed.
    pods = functools.cache(partial(there.pods, namespace))
    events = functools.cache(partial(there.events, namespace))

    def why(index: int, job: client.V1Job) -> str:
        # The warnings say it too, but are gone after an hour.
        ends = [entry.message or "" for entry in job.status.conditions or [] if entry.type == "Failed"]
        name = job.metadata.name
        own = [pod for pod in pods() if pod["metadata"].get("labels", {}).get(JOB_LABEL) == name]
        return results.explain(settings.builds[index], index, own, [*about(events(), name), *ends])

    def last_run(index: int, owner: str) -> tuple[str, bool]:
        """What became of the last Job that a CronJob started, and whether it failed."""
        started = [job for job in jobs.values() if owner in {each.name for each in job.metadata.owner_references or []}]
        if not started:
            return "has not run yet", False
        last = max(started, key=lambda each: each.metadata.creation_timestamp)
        run, how = f"the last run, of {last.metadata.creation_timestamp:{FORMAT}}", _outcome(last, owner, "")[0]
        return (f"{run}: {why(index, last)}", True) if how == "failed" else (f"{run}, is {how}", False)

    for index, build in enumerate(settings.builds):
        name = deployed.get(build.name)
        # Where an update failed, its Job is there, and the outputs still have what the Job before it pushed.
        image = images.get(build.name, "") if pushed.get(build.name) == name else ""
        job = jobs.get(name)
        how, told = _outcome(job, name, image)
        told = why(index, job) if how == "failed" else told
        yield Finding(f"build {build.name}", told, "ok" if how in {"done", "kept"} else "BAD")
        live = schedules.get(build.name)
        if build.schedule and live is None:
            yield Finding(f"schedule {build.name}", "its CronJob is gone; `make up` brings it back", "BAD")
        elif build.schedule and live:
            run, failed = last_run(index, build.name)
            zone = live.spec.time_zone or "the cluster time zone"
            suspended = "suspended by hand; " if live.spec.suspend else ""
            seen = f"{live.spec.schedule} ({zone}); {suspended}{run}"
            yield Finding(f"schedule {build.name}", seen, "BAD" if failed or suspended else "ok")
        if build.on_push:
            run, failed = last_run(index, template_name(build.name))
            watcher = said.get(build.name, "the watcher's log has no recent line of it")
            # So it begins when it can't look, or can't start a Job.
            bad = failed or watcher.startswith("can't")
            seen = f"{build.on_push.branch}; {run}; {watcher}"
            yield Finding(f"push {build.name}", seen, "BAD" if bad else "ok")


def _outcome(job: client.V1Job | None, name: str | None, image: str) -> tuple[str, str]:
    """How a Job stands: in a word, and in a sentence for a build of this name that pushed this image."""
    if job is None:
        known = f"{image}; its Job {name} is gone; `make up` declares it again and builds nothing"
        unknown = f"its Job {name} is gone; `make up` builds it" if name else "not built yet; `make up` builds it"
        return "gone", known if image and name else unknown
    ended = {entry.type for entry in job.status.conditions or [] if entry.status == "True"}
    begun = job.status.start_time
    if "Complete" in ended:
        took = (job.status.completion_time - begun).total_seconds()
        return "done", f"{image or 'pushed'}, built {job.status.completion_time:{FORMAT}} in {took:.0f} s"
    if "Failed" in ended:
        return "failed", ""
    if job.spec.suspend:
        queued = f"Job {name} is in the queue since {job.metadata.creation_timestamp:{FORMAT}}"
        kept = f"{image}; built before its Job was removed, and not again"
        return ("queued", queued) if labels.QUEUE in (job.metadata.labels or {}) else ("kept", kept)
    if job.status.active:
        return "running", f"Job {name} runs since {begun:{FORMAT}}"
    return "waits", f"Job {name} waits for its pod: kubectl describe job {name}"
