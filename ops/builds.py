"""What became of a stack's image builds, from its state and from what the cluster has of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubernetes import client

from components import labels
from components.kubernetes import results
from components.kubernetes.plan import template_name
from ops.finding import Finding

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping, Sequence

    from components.kubernetes.cluster import ApiReader
    from components.settings import BuildSettings

TROUBLE = "can't"
"""How a line of the watcher's log begins when it can't look, or can't start a Job."""

FORMAT = "%Y-%m-%d %H:%M:%S UTC"


def deployed_jobs(resources: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The Job that the state has for each build, by the build's name."""
    found = {}
    for resource in resources:
        meta = (resource.get("inputs") or {}).get("metadata") or {}
        build = (meta.get("labels") or {}).get(labels.BUILD)
        if resource["type"] == "kubernetes:batch/v1:Job" and build and not resource.get("delete"):
            found[str(build)] = str(meta["name"])
    return found


def examine(  # noqa: PLR0913, PLR0917 - what the state and the cluster tell
    there: ApiReader,
    namespace: str,
    builds: Sequence[BuildSettings],
    deployed: Mapping[str, str],
    images: Mapping[str, str],
    said: Mapping[str, str],
) -> Iterator[Finding]:
    """Find how each build is, and each schedule.

    Args:
        there: the stack's cluster.
        namespace: the builds'.
        builds: `ci:builds`.
        deployed: the Job of each build, as `deployed_jobs` gives it.
        images: the output `images` of the last update that ended well.
        said: the last line that the watcher of branches said of each build.
    """
    batch = client.BatchV1Api(there.client)
    ours = {"namespace": namespace, "label_selector": labels.BUILD}
    jobs = {job.metadata.name: job for job in batch.list_namespaced_job(**ours).items}
    schedules = {each.metadata.name: each for each in batch.list_namespaced_cron_job(**ours).items}

    def why(index: int, job: client.V1Job) -> str:
        # The warnings say it too, but are gone after an hour.
        ends = [entry.message or "" for entry in job.status.conditions or [] if entry.type == "Failed"]
        name = job.metadata.name
        warnings = [*there.events(namespace, name), *ends]
        return results.explain(builds[index], index, there.pods(namespace, name), warnings)

    def last_run(index: int, owner: str) -> tuple[client.V1Job | None, str]:
        started = [each for each in jobs.values() if _owner(each) == owner]
        last = max(started, key=lambda each: each.metadata.creation_timestamp, default=None)
        return last, why(index, last) if outcome(last) == "failed" else ""

    for index, build in enumerate(builds):
        name, image = deployed.get(build.name), images.get(build.name, "")
        job = jobs.get(name)
        how = outcome(job)
        told = why(index, job) if how == "failed" else _told(how, name, job, image)
        yield Finding(f"build {build.name}", told, "ok" if how in {"done", "kept"} else "BAD")
        if build.schedule:
            yield _schedule(build.name, schedules.get(build.name), *last_run(index, build.name))
        if build.on_push:
            last, failure = last_run(index, template_name(build.name))
            watcher = said.get(build.name, "the watcher has said nothing of late")
            bad = failure or watcher.startswith(TROUBLE)
            title = f"push {build.name}"
            yield Finding(title, f"{build.on_push.branch}; {_run(last, failure)}; {watcher}", "BAD" if bad else "ok")


def outcome(job: client.V1Job | None) -> str:
    """How a Job stands: `done`, `failed`, `running`, `waits`, `gone`.

    Of a suspended one: `queued`, or `kept` (it built before, and is not to again).
    """
    if job is None:
        return "gone"
    ended = {entry.type for entry in job.status.conditions or [] if entry.status == "True"}
    if ended & {"Complete", "Failed"}:
        return "done" if "Complete" in ended else "failed"
    if job.spec.suspend:
        return "queued" if labels.QUEUE in (job.metadata.labels or {}) else "kept"
    return "running" if job.status.active else "waits"


def _told(how: str, name: str | None, job: client.V1Job, image: str) -> str:
    if name is None:
        return "not built yet; `make up` builds it"
    if how == "gone":
        known = f"{image}; its Job {name} is gone, `make up` notes that and builds nothing"
        return known if image else f"its Job {name} is gone; `make up` builds it"
    if how == "done":
        begun, ended = job.status.start_time, job.status.completion_time
        return f"{image or 'pushed'}, built {_time(ended)} in {(ended - begun).total_seconds():.0f} s"
    return {
        "kept": f"{image}; built before its Job was removed, and not again",
        "queued": f"Job {name} is in the queue since {_time(job.metadata.creation_timestamp)}",
        "running": f"Job {name} runs since {_time(job.status.start_time)}",
        "waits": f"Job {name} waits for its pod: kubectl describe job {name}",
    }[how]


def _schedule(name: str, live: client.V1CronJob | None, last: client.V1Job | None, failure: str) -> Finding:
    title = f"schedule {name}"
    if live is None:
        return Finding(title, "its CronJob is gone; `make up` brings it back", "BAD")
    parts = [f"{live.spec.schedule} ({live.spec.time_zone or 'the cluster time zone'})"]
    if live.spec.suspend:
        parts.append("suspended by hand")
    parts.append(_run(last, failure))
    return Finding(title, "; ".join(parts), "BAD" if failure or live.spec.suspend else "ok")


def _run(last: client.V1Job | None, failure: str) -> str:
    if last is None:
        return "has not run yet"
    run = f"the last run, of {_time(last.metadata.creation_timestamp)}"
    return f"{run}: {failure}" if failure else f"{run}, is {outcome(last)}"


def _owner(job: client.V1Job) -> str:
    """The CronJob that started a Job; empty for one that an update started."""
    return next((each.name for each in job.metadata.owner_references or [] if each.kind == "CronJob"), "")


def _time(moment: dt.datetime | None) -> str:
    return moment.strftime(FORMAT) if moment else "an unknown time"
