"""One image build: a Job whose name says all that decides its result."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pulumi
from pulumi_kubernetes import batch, core

from components.kubernetes import results
from components.kubernetes.builders import BUILDERS, Pod, Work
from components.kubernetes.cluster import Reader, ReadError
from components.kubernetes.context import FILE, Packed
from components.labels import BUILD
from components.settings import BuildSettings
from components.settings.cluster_checks import RESERVED_TAG

_VOLUME: Final = "ci/registry-volume"
"""The annotation with the uid of the volume that a build's image is kept on. On another one, it is another Job."""

_BEYOND_DEADLINE_SECONDS: Final = 120
"""How much longer than the build itself an update waits for it: the time for its end to be noticed."""

_REPLACE_UNREADY: Final = "pulumi.com/replaceUnready"
_SKIP_AWAIT: Final = "pulumi.com/skipAwait"
"""Annotations that the provider reads."""

_KEPT_RUNS: Final = 3


class DigestError(pulumi.RunError):
    """A build is done, and nothing tells any more what it pushed."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A build that is ready to be declared."""

    place: int
    """Its place in `ci:builds`."""

    job: str
    """The Job's name: the build's, and 12 hexadecimal digits that change with whatever decides the result."""

    pod: Pod
    scheduled: Pod | None
    """The pod of the CronJob; None without a schedule."""

    settings: BuildSettings
    repository: str
    """What `images` calls the image, `host/repository`."""

    packed: Packed | None
    kept: bool
    """Whether the stack's own registry keeps the image."""


def plan(place: int, work: Work, packed: Packed | None, *, own: Sequence[str], pull: str) -> Plan:
    """Give the plan of one build.

    own: the repositories of this stack's registry that it is pushed to, `host/repository`.
    pull: the first destination's repository as nodes pull it.
    """
    build = work.build
    make = BUILDERS[build.builder]
    known = replace(work, context_digest=packed.digest if packed else None, config_map="context" if packed else None)
    digest = _digest(known, make(known))
    job = f"{build.name}-{digest}"
    named = replace(known, config_map=job if packed else None)
    # A tag of its own keeps what `images` names from the collection, when the other tags have moved on.
    kept = [f"{repository}:{RESERVED_TAG}{digest}" for repository in own[:1]]
    return Plan(
        place=place,
        job=job,
        pod=make(replace(named, destinations=[*work.destinations, *kept])),
        scheduled=make(named) if build.schedule else None,
        settings=build,
        repository=pull,
        packed=packed,
        kept=bool(own),
    )


def _digest(work: Work, pod: Pod) -> str:
    decides = [pod.spec, work.context_digest, work.trusted_ca, work.build.trigger]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12]


class Build(pulumi.ComponentResource):
    """One image build. It runs when it is new or changed, and never again, whatever becomes of its Job."""

    job: pulumi.Output[str]
    """The Job's name, once the image is pushed."""

    image: pulumi.Output[str]
    """The image as pushed, `host/repository@sha256:...`."""

    def __init__(  # noqa: PLR0913 - each is another matter
        self,
        plan: Plan,
        *,
        namespace: pulumi.Input[str],
        reader: Reader,
        done: str | None,
        volume: pulumi.Output[str | None],
        before: str | None,
        on_error: pulumi.ErrorHook,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Register the Job, and the context and the schedule where it has them.

        done: the image that this very Job pushed, as the last update noted it. Where the Job is gone since, it is
        declared again, but suspended: it builds nothing.
        volume: the uid of the registry's volume. A build that the registry keeps is done again where it is another.
        before: the volume's uid as the last update noted it; None before the first, which is taken to be the same.
        """
        build = plan.settings
        name = f"build-{build.name}"
        super().__init__("ci:kubernetes:Build", name, {"destinations": list(build.destinations)}, opts)
        labels = {BUILD: build.name, "app.kubernetes.io/part-of": "ci"}
        kept = volume.apply(lambda uid: before in {None, uid} or not plan.kept)
        marks = {_VOLUME: volume} if plan.kept else {}
        needs = []
        if plan.packed is not None:
            needs.append(self._context(plan, namespace, labels))
        mine = pulumi.ResourceOptions(
            parent=self,
            depends_on=needs,
            # Otherwise a failed update would leave the one before in the cluster, and whoever goes back to what it
            # builds would find it complete, and the tags with what came after it.
            delete_before_replace=True,
            custom_timeouts=pulumi.CustomTimeouts(create=f"{build.deadline_seconds + _BEYOND_DEADLINE_SECONDS}s"),
            hooks=pulumi.ResourceHookBinding(on_error=[on_error]),
        )
        # A Job that failed does not become another by itself: the next update makes it anew.
        annotations: dict[str, pulumi.Input[str]] = {_REPLACE_UNREADY: "true"}
        spec: dict[str, Any] = {
            "backoffLimit": build.retries,
            "activeDeadlineSeconds": build.deadline_seconds,
            "template": _template(plan.pod, labels, marks),
        }
        if done is not None:
            # Only a Job that has to be declared anew is made like this: on one that stands, none of it is a change.
            annotations = {
                _SKIP_AWAIT: kept.apply(lambda same: "true" if same else "false"),
                _REPLACE_UNREADY: kept.apply(lambda same: "false" if same else "true"),
            }
            spec["suspend"] = kept
            ignored = ["spec.suspend", *(f'metadata.annotations["{name}"]' for name in (_REPLACE_UNREADY, _SKIP_AWAIT))]
            mine = pulumi.ResourceOptions.merge(mine, pulumi.ResourceOptions(ignore_changes=ignored))
        job = batch.v1.Job(
            f"{name}-job",
            metadata={"name": plan.job, "namespace": namespace, "labels": labels, "annotations": annotations},
            spec=spec,
            opts=mine,
        )
        if plan.scheduled is not None:
            self._schedule(name, plan, plan.scheduled, namespace, labels, needs)
        # The digest of before is this very Job's; the name by which nodes pull may have changed since.
        known = done.rpartition("@")[2] if done is not None else None

        def pushed() -> pulumi.Output[str]:
            # The status is known when the Job is done, and only then.
            done: pulumi.Output[list[Any]] = pulumi.Output.all(job.status, namespace)
            return done.apply(lambda both: _pushed(reader, both[1], plan))

        digest = kept.apply(lambda same: known if known is not None and same else pushed())
        self.image = digest.apply(lambda found: f"{plan.repository}@{found}")
        self.job = self.image.apply(lambda _: plan.job)
        self.register_outputs({"job": self.job, "image": self.image})

    def _context(self, plan: Plan, namespace: pulumi.Input[str], labels: Mapping[str, str]) -> core.v1.ConfigMap:
        return core.v1.ConfigMap(
            # Another content is another resource: changes that are ignored would be ignored in a replacement, too.
            f"{plan.job}-context",
            metadata={"name": plan.job, "namespace": namespace, "labels": labels},
            immutable=True,
            binary_data={FILE: plan.packed.text} if plan.packed else {},
            # The name says which files these are. Another machine's zlib may write them down in other bytes.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["binaryData"]),
        )

    def _schedule(  # noqa: PLR0913, PLR0917 - a part of the constructor
        self,
        name: str,
        plan: Plan,
        pod: Pod,
        namespace: pulumi.Input[str],
        labels: Mapping[str, str],
        needs: Sequence[pulumi.Resource],
    ) -> None:
        build = plan.settings
        batch.v1.CronJob(
            f"{name}-schedule",
            metadata={"name": build.name, "namespace": namespace, "labels": labels},
            spec={
                "schedule": build.schedule,
                "concurrencyPolicy": "Forbid",
                "startingDeadlineSeconds": 3600,
                "successfulJobsHistoryLimit": _KEPT_RUNS,
                "failedJobsHistoryLimit": _KEPT_RUNS,
                "jobTemplate": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "backoffLimit": build.retries,
                        "activeDeadlineSeconds": build.deadline_seconds,
                        "template": _template(pod, labels, {}),
                    },
                },
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=needs),
        )


def _template(pod: Pod, labels: Mapping[str, str], marks: Mapping[str, pulumi.Input[str | None]]) -> dict[str, Any]:
    return {"metadata": {"labels": labels, **({"annotations": marks} if marks else {})}, "spec": pod.spec}


def _pushed(reader: Reader, namespace: str, plan: Plan) -> Awaitable[str]:
    # In a thread, since the other builds' registrations go on meanwhile.
    return asyncio.get_running_loop().run_in_executor(None, lambda: _read(reader, namespace, plan))


def _read(reader: Reader, namespace: str, plan: Plan) -> str:
    try:
        digest = results.digest(reader.pods(namespace, plan.job))
    except ReadError as error:
        raise DigestError(f"the build {plan.settings.name} is done, but its digest can't be read: {error}") from None
    if digest is None:
        raise DigestError(
            f"the build {plan.settings.name} is done, but its pod is gone and with it the digest that it pushed; build "
            f'once more with another text in ci:builds[{plan.place}].trigger, for example "again"'
        )
    return digest


def failure_hook(plans: Sequence[Plan], reader: Reader) -> pulumi.ErrorHook:
    """Give the hook that says why a build failed, beside what the provider says of its Job."""
    by_job = {plan.job: plan for plan in plans}

    def say(args: pulumi.ErrorHookArgs) -> bool:
        meta = (args.new_inputs or {}).get("metadata", {})
        plan = by_job.get(str(meta.get("name")))
        if plan is not None and args.failed_operation == "create":
            namespace = str(meta["namespace"])
            try:
                pods, events = reader.pods(namespace, plan.job), reader.events(namespace, plan.job)
            except ReadError as error:
                pulumi.log.error(f"the build {plan.settings.name} failed, and why can't be read: {error}")
            else:
                pulumi.log.error(results.explain(plan.settings, plan.place, pods, events))
        return False

    return pulumi.ErrorHook("build-failed", say)
