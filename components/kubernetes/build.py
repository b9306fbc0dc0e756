"""One image build in the cluster: a Job, its context, and its schedule."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_kubernetes import batch, core

from .. import labels
from ..settings import BuildSettings
from ..settings.cluster_checks import queue_seconds
from . import history, queue, results
from .builders import PodSpec
from .cluster import ApiReader, ReadError, about
from .context import FILE
from .namespaces import StackArgs
from .plan import Plan

_BEYOND_DEADLINE_SECONDS: Final = 120
"""How much longer than the build's own deadline an update waits, until the Job's end is visible."""

_REPLACE_UNREADY: Final = "pulumi.com/replaceUnready"
_SKIP_AWAIT: Final = "pulumi.com/skipAwait"
"""Annotations that the provider reads."""

_KEPT_RUNS: Final = 3


class DigestError(pulumi.RunError):
    """Raised when a finished build's digest is no longer available."""


@dataclass(frozen=True, kw_only=True)
class BuildArgs(StackArgs):
    """The inputs of a build."""

    plan: Plan
    reader: ApiReader
    pushed: str | None
    """The image that this very Job has pushed, if its volume is still there. If the Job is gone since, it is created
    again, but suspended, so that it builds nothing."""

    volume: pulumi.Input[str | None]
    """The uid of the registry's volume. A new one has no images, so it makes the Job another one."""

    on_error: Sequence[pulumi.ErrorHook]


class Build(pulumi.ComponentResource):
    """One image build. It runs when it is new or changed. If its Job is deleted later, it does not run again."""

    job: pulumi.Output[str]
    """The Job's name, once the image is pushed."""

    image: pulumi.Output[str]
    """The image as pushed, `host/repository@sha256:...`."""

    def __init__(self, name: str, args: BuildArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the Job, and the context and the schedule if the build has them."""
        plan, build = args.plan, args.plan.settings
        super().__init__(history.BUILD, name, {"destinations": list(build.destinations)}, opts)
        meta: dict[str, Any] = {
            "namespace": args.spaces.builds,
            "labels": {labels.BUILD: build.name, **labels.PART},
        }
        context, waits = self._context(name, plan, meta), queue.of_jobs(args.settings.kubernetes)
        patience = build.deadline_seconds + queue_seconds(args.settings) + _BEYOND_DEADLINE_SECONDS
        options = pulumi.ResourceOptions(
            parent=self,
            depends_on=context,
            # Otherwise a failed update leaves the previous Job in the cluster. If its settings come back, it counts as
            # done, although the tags may point to the newer image.
            delete_before_replace=True,
            custom_timeouts=pulumi.CustomTimeouts(create=f"{patience}s"),
            hooks=pulumi.ResourceHookBinding(on_error=list(args.on_error)),
        )
        # The name of a failed Job does not change, so the provider has to replace it in the next update.
        annotations, queued = {_REPLACE_UNREADY: "true"}, f'metadata.labels["{labels.QUEUE}"]'
        spec = job_spec(build, plan.pod, meta["labels"], awaited=True)
        if plan.in_own_registry:
            spec["template"]["metadata"]["annotations"] = {labels.VOLUME: args.volume}
        if args.pushed is None:
            # Kueue refuses to change the label of a Job that is not suspended.
            of_build = pulumi.ResourceOptions(replace_on_changes=[queued])
        else:
            # These inputs are used only when a deleted Job is created again. They don't change a Job that exists: its
            # name says what it built. Kueue would start a suspended Job that is in a queue.
            annotations, waits = {_SKIP_AWAIT: "true", _REPLACE_UNREADY: "false"}, {}
            spec["suspend"] = True
            ignored = ["spec.suspend", "spec.podFailurePolicy", "spec.template.spec", queued]
            ignored += [f'metadata.annotations["{name}"]' for name in annotations]
            of_build = pulumi.ResourceOptions(ignore_changes=ignored)
        job = batch.v1.Job(
            f"{name}-job",
            metadata={**meta, "name": plan.job, "labels": {**meta["labels"], **waits}, "annotations": annotations},
            spec=spec,
            opts=pulumi.ResourceOptions.merge(options, of_build),
        )
        if plan.scheduled is not None:
            self._schedule(name, args, plan.scheduled, meta, context)
        digest = _digest(args, job)
        self.image = digest.apply(lambda found: f"{plan.repository}@{found}")
        self.job = self.image.apply(lambda _: plan.job)
        # The next update compares them with what it is asked to build.
        self.register_outputs({"job": self.job, "image": self.image, "decides": plan.decides})

    def _context(self, name: str, plan: Plan, meta: Mapping[str, Any]) -> list[pulumi.Resource]:
        if plan.packed is None:
            return []
        config_map = core.v1.ConfigMap(
            # Another content is another resource, so what is ignored below never compares two contents.
            f"{name}-context-{plan.packed.digest[:12]}",
            metadata={**meta, "name": plan.config_map},
            immutable=True,
            binary_data={FILE: plan.packed.text},
            # The name identifies the files. zlib on another machine may compress them to other bytes.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["binaryData"]),
        )
        return [config_map]

    def _schedule(
        self, name: str, args: BuildArgs, pod: PodSpec, meta: Mapping[str, Any], context: Sequence[pulumi.Resource]
    ) -> None:
        build, waits = args.plan.settings, queue.of_jobs(args.settings.kubernetes)
        batch.v1.CronJob(
            f"{name}-schedule",
            metadata={**meta, "name": build.name},
            spec={
                "schedule": build.schedule,
                "concurrencyPolicy": "Forbid",
                "startingDeadlineSeconds": 3600,
                "successfulJobsHistoryLimit": _KEPT_RUNS,
                "failedJobsHistoryLimit": _KEPT_RUNS,
                "jobTemplate": {
                    "metadata": {"labels": {**meta["labels"], **waits}},
                    "spec": job_spec(build, pod, meta["labels"]),
                },
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=context),
        )


def job_spec(build: BuildSettings, pod: PodSpec, marks: Mapping[str, str], *, awaited: bool = False) -> dict[str, Any]:
    """Return the spec of a build's Job.

    marks: the labels of its pod.
    awaited: whether an update waits for the Job.
    """
    rules: list[dict[str, Any]] = [
        # A drained node or a more important pod is no fault of the build, so another pod starts.
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    ]
    if not build.retries and not awaited:
        # With this rule the Job's event names the container that failed, and its exit code. Pulumi's provider does not
        # know an end by it, and would wait for another one.
        rules.append({"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [0]}})
    return {
        "backoffLimit": build.retries,
        "activeDeadlineSeconds": build.deadline_seconds,
        "podFailurePolicy": {"rules": rules},
        "template": {"metadata": {"labels": marks}, "spec": pod},
    }


def _digest(args: BuildArgs, job: batch.v1.Job) -> pulumi.Output[str]:
    """Return the digest that the last update noted, or read it from the Job's pod."""
    if args.pushed is not None:
        # Only the digest: the name by which nodes pull may have changed since.
        return pulumi.Output.from_input(args.pushed.rpartition("@")[2])
    # The status is known once the Job is done.
    done: pulumi.Output[list[Any]] = pulumi.Output.all(job.status, args.spaces.builds)
    return done.apply(lambda both: _read(args.reader, both[1], args.plan))


def _read(reader: ApiReader, namespace: str, plan: Plan) -> Awaitable[str]:
    def read() -> str:
        try:
            digest = results.digest(reader.pods(namespace, plan.job))
        except ReadError as error:
            raise DigestError(f"build {plan.settings.name} is done, but its digest can't be read: {error}") from None
        if digest is None:
            raise DigestError(
                f"build {plan.settings.name} is done, but its pod and the digest in it are gone; build once more: "
                f'change ci:builds[{plan.index}].trigger, for example to "again"'
            )
        return digest

    # In a thread, so that the registrations of other builds go on.
    return asyncio.get_running_loop().run_in_executor(None, read)


def failure_hook(name: str, plans: Sequence[Plan], reader: ApiReader) -> pulumi.ErrorHook:
    """Return the hook that says why a build failed, in addition to the provider's message about the Job."""
    by_job = {plan.job: plan for plan in plans}

    def explain(args: pulumi.ErrorHookArgs) -> bool:
        meta = (args.new_inputs or {}).get("metadata", {})
        plan = by_job.get(str(meta.get("name")))
        if plan is not None and args.failed_operation == "create":
            namespace = str(meta["namespace"])
            try:
                pods, events = reader.pods(namespace, plan.job), about(reader.events(namespace), plan.job)
                # Its event is written after its end, so it may not be there yet.
                job = reader.get(f"/apis/batch/v1/namespaces/{namespace}/jobs/{plan.job}") or {}
                conditions = job.get("status", {}).get("conditions") or ()
                events += [each.get("message", "") for each in conditions if each["type"].startswith("Fail")]
            except ReadError as error:
                pulumi.log.error(f"build {plan.settings.name} failed, and the reason can't be read: {error}")
            else:
                pulumi.log.error(results.explain(plan.settings, plan.index, pods, events))
        return False

    return pulumi.ErrorHook(name, explain)
