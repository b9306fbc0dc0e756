"""What became of a stack's image builds, from its state and from what the cluster has of them. Pure."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import croniter

from components import labels
from components.kubernetes import results

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from components.settings import BuildSettings

JOB_LABEL = "batch.kubernetes.io/job-name"
"""The label by which Kubernetes marks a Job's pods."""

Thing = dict[str, Any]
"""An object as the API has it."""


class Found:
    """What the cluster has of the builds."""

    def __init__(self, jobs: Sequence[Thing], schedules: Sequence[Thing], pods: Sequence[Thing]) -> None:
        """Take every Job, CronJob and pod of the builds' namespace that has the label."""
        self.jobs = {job["metadata"]["name"]: job for job in jobs}
        self.schedules = {schedule["metadata"]["name"]: schedule for schedule in schedules}
        self._pods = pods

    def pods(self, job: str) -> list[Thing]:
        """A Job's pods, the newest first."""
        own = [pod for pod in self._pods if (pod["metadata"].get("labels") or {}).get(JOB_LABEL) == job]
        return sorted(own, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), reverse=True)

    def scheduled(self, name: str) -> list[Thing]:
        """The Jobs that a schedule has started, the newest first."""
        own = [job for job in self.jobs.values() if _owner(job) == name]
        return sorted(own, key=lambda job: str(job["metadata"].get("creationTimestamp")), reverse=True)


def deployed_jobs(resources: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The Job that the state has for each build, by the build's name."""
    found = {}
    for resource in resources:
        meta = (resource.get("inputs") or {}).get("metadata") or {}
        build = (meta.get("labels") or {}).get(labels.BUILD)
        if resource["type"] == "kubernetes:batch/v1:Job" and build and not resource.get("delete"):
            found[str(build)] = str(meta["name"])
    return found


def outcome(job: Thing | None) -> str:
    """How a Job stands: `done`, `failed`, `running`, `waits`, `kept` (it built before, and is not to again), `gone`."""
    if job is None:
        return "gone"
    status = job.get("status") or {}
    ended = {entry["type"] for entry in status.get("conditions") or [] if entry.get("status") == "True"}
    if "Complete" in ended:
        return "done"
    if "Failed" in ended:
        return "failed"
    if (job.get("spec") or {}).get("suspend"):
        return "kept"
    return "running" if status.get("active") else "waits"


def rows(
    builds: Sequence[BuildSettings],
    jobs: Mapping[str, str],
    images: Mapping[str, str],
    found: Found,
    events: Mapping[str, Sequence[str]],
) -> Iterator[tuple[str, str, bool]]:
    """One row for each build, and one for each schedule: what, how it is, whether that is well.

    Args:
        builds: `ci:builds`.
        jobs: the Job of each build, as `deployed_jobs` gives it.
        images: the output `images` of the last update that ended well.
        found: what the cluster has.
        events: the warnings about a Job that failed, the newest first, by its name.
    """
    for place, build in enumerate(builds):
        name = build.name
        job = jobs.get(name, "")
        live = found.jobs.get(job)
        how = outcome(live) if job else "new"
        image = images.get(name, "")
        if how == "failed":
            said = why(build, place, found.pods(job), [*events.get(job, ()), *_ends(live)])
        else:
            said = {
                "done": f"{image or 'pushed'}, built {_span(live)}",
                "kept": f"{image}; built before its Job was removed, and not again",
                "running": f"Job {job} runs since {_time((live or {}).get('status', {}).get('startTime'))}",
                "waits": f"Job {job} waits for its pod: kubectl describe job {job}",
                "gone": f"{image}; its Job {job} is gone, `make up` notes that and builds nothing"
                if image
                else f"its Job {job} is gone; `make up` builds it",
                "new": "not built yet; `make up` builds it",
            }[how]
        yield f"build {name}", said, how in {"done", "kept"}
        if build.schedule:
            yield from _schedule(name, place, build, found)


def why(build: BuildSettings, place: int, pods: Sequence[Thing], events: Sequence[str]) -> str:
    """Why a build failed, as the update that ran it says it."""
    return results.explain(build, place, pods, events)


def _ends(job: Thing | None) -> list[str]:
    """Why a Job failed, in its controller's words. The warnings say it too, but are gone after an hour."""
    conditions = ((job or {}).get("status") or {}).get("conditions") or []
    return [str(entry.get("message", "")) for entry in conditions if entry.get("type") == "Failed"]


def _schedule(name: str, place: int, build: BuildSettings, found: Found) -> Iterator[tuple[str, str, bool]]:
    title = f"schedule {name}"
    live = found.schedules.get(name)
    if live is None:
        yield title, "its CronJob is gone; `make up` brings it back", False
        return
    status, spec = live.get("status") or {}, live["spec"]
    parts = [f"{spec['schedule']} ({spec.get('timeZone') or 'the cluster time zone'})"]
    parts.append("suspended by hand" if spec.get("suspend") else f"next {_next(spec)}")
    last = next(iter(found.scheduled(name)), None)
    well = not spec.get("suspend")
    if last is None:
        parts.append("has not run yet")
    elif outcome(last) == "failed":
        well = False
        pods = found.pods(last["metadata"]["name"])
        said = why(build, place, pods, _ends(last))
        parts.append(f"the last run, of {_time(status.get('lastScheduleTime'))}: {said}")
    else:
        parts.append(f"the last run, of {_time(status.get('lastScheduleTime'))}, is {outcome(last)}")
    yield title, "; ".join(parts), well


def _next(spec: Mapping[str, Any]) -> str:
    """When a CronJob is due next. Kubernetes counts in its controller's time zone, which is mostly UTC."""
    try:
        due = croniter.croniter(spec["schedule"], dt.datetime.now(dt.UTC)).get_next(dt.datetime)
    except (ValueError, KeyError):
        return "as it says"
    return f"{due:%Y-%m-%d %H:%M}" + ("" if spec.get("timeZone") else ", if that is UTC")


def _owner(job: Thing) -> str:
    """The CronJob that started a Job; empty for one that an update started."""
    owners = job["metadata"].get("ownerReferences") or []
    return next((str(owner["name"]) for owner in owners if owner.get("kind") == "CronJob"), "")


def _span(job: Thing | None) -> str:
    """When a Job was done, and how long that took."""
    status = (job or {}).get("status") or {}
    begun, ended = status.get("startTime"), status.get("completionTime")
    if not begun or not ended:
        return "at an unknown time"
    return f"{_time(ended)} in {(_parsed(ended) - _parsed(begun)).total_seconds():.0f} s"


def _time(text: object) -> str:
    return f"{_parsed(str(text)):%Y-%m-%d %H:%M:%S} UTC" if text else "an unknown time"


def _parsed(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)
