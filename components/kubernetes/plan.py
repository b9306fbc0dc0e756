"""What one build will run, and how its Job is named. Pure: from the settings and the packed context."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from components import certificates
from components.kubernetes import context, endpoints
from components.kubernetes.builders import BUILDERS, BuildSpec, PodSpec
from components.kubernetes.context import Packed
from components.labels import BRANCH, BRANCH_TAG, COMMIT, COMMIT_TAG
from components.settings import BuildSettings, Settings
from components.settings.cluster_checks import RESERVED_TAG, own_repository

_DIGITS = 12
"""How many hexadecimal digits of a SHA-256 are in the name of a Job or a ConfigMap."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A build that is ready to be registered."""

    index: int
    """Its index in `ci:builds`."""

    job: str
    """The Job's name: the build's name and a hash of everything that decides the result."""

    config_map: str | None
    """The name of the ConfigMap with the packed context: the build's name and the context's digest."""

    pod: PodSpec
    scheduled: PodSpec | None
    """The pod of the CronJob; None without a schedule."""

    on_push: PodSpec | None
    """The pod that builds the commit which its annotations name; None if no branch is watched."""

    settings: BuildSettings
    repository: str
    """The image's name in the output `images`, `host/repository`."""

    packed: Packed | None
    in_own_registry: bool
    """Whether the image is pushed to the stack's own registry."""


def template_name(build: str) -> str:
    """Return the name of the CronJob that is the template of a build's Jobs on push. No build has such a name."""
    return f"{build}.push"


def plan(settings: Settings, index: int) -> Plan:
    """Return the plan of the build at this index of `ci:builds`. Raises ContextError."""
    build, registry = settings.builds[index], endpoints.of(settings)
    packed = context.of(build)
    config_map = f"{build.name}-context-{packed.digest[:_DIGITS]}" if packed is not None else None
    targets = build.destinations or (f"{build.name}:latest",)
    own = [repository for target in targets if (repository := own_repository(target)) is not None]
    first = own_repository(targets[0])
    spec = _spec(settings, build, targets, config_map)
    make = BUILDERS[build.builder]
    # A try of the login decides nothing. Without this, each image of release 0.1.0 would be built again.
    decides = [make(replace(spec, tries_login=True)), spec.trusted_ca, build.trigger]
    digest = _hash(json.dumps(decides, sort_keys=True))[:_DIGITS]
    # The registry deletes untagged images. This tag keeps the image of the output `images` when the others have moved.
    kept = [f"{registry.push}/{repository}:{RESERVED_TAG}{digest}" for repository in own[:1]]
    return Plan(
        index=index,
        job=f"{build.name}-{digest}",
        config_map=config_map,
        pod=make(replace(spec, destinations=[*spec.destinations, *kept])),
        scheduled=make(spec) if build.schedule else None,
        on_push=_of_commit(settings, build, targets) if build.on_push else None,
        settings=build,
        repository=f"{registry.pull}/{first}" if first is not None else targets[0].rpartition(":")[0],
        packed=packed,
        in_own_registry=bool(own),
    )


def push_job(
    spec: Mapping[str, Any], marks: Mapping[str, str], waits: Mapping[str, str], owner: str, uid: str | None
) -> str:
    """Return the Job that the watcher creates, with @places@ on the first line; the second is the pod.

    marks: labels of the Job and its pod. waits: the label that puts the Job into the queue.
    """
    pod = {
        "metadata": {"labels": marks, "annotations": {COMMIT: "@commit@", COMMIT_TAG: "@short@", BRANCH_TAG: "@tag@"}},
        "spec": "@pod@",
    }
    reference = {"apiVersion": "batch/v1", "kind": "CronJob", "name": owner, "uid": uid, "controller": True}
    text = json.dumps(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": "@name@",
                "labels": {**marks, **waits, BRANCH: "@branch@"},
                "ownerReferences": [reference],
            },
            "spec": {**spec, "template": pod},
        }
    )
    return text.replace('"@pod@"', f"\n{json.dumps(spec['template']['spec'])}")


def _spec(settings: Settings, build: BuildSettings, targets: tuple[str, ...], config_map: str | None) -> BuildSpec:
    kubernetes, registry = settings.kubernetes, endpoints.of(settings)
    storage = kubernetes.object_storage
    return BuildSpec(
        build=build,
        image=kubernetes.image_of(build.builder),
        destinations=[f"{registry.push}/{target}" if own_repository(target) else target for target in targets],
        cache_repository=f"{registry.push}/cache/{build.name}",
        tries_login=not all(map(own_repository, targets)),
        plain_registries=registry.plain,
        mirrors=endpoints.mirrors(settings),
        git_image=kubernetes.git_image,
        config_map=config_map,
        daemon=endpoints.daemon(settings, build.name) if build.builder == "buildkit" else None,
        trusted_ca=_hash(certificates.read(kubernetes.trusted_ca_file)) if kubernetes.trusted_ca_file else None,
        object_storage={
            **({"AWS_REGION": storage.region} if storage.region else {}),
            **({"S3_ENDPOINT": storage.endpoint, "S3_FORCE_PATH_STYLE": "true"} if storage.endpoint else {}),
        },
    )


def _of_commit(settings: Settings, build: BuildSettings, targets: tuple[str, ...]) -> PodSpec:
    """Return a pod that is the same for every commit: it finds the commit and the tags in its own annotations."""
    git = build.context.git
    if git is None:
        raise AssertionError
    # The kubelet puts in the variables.
    context = build.context.model_copy(update={"git": git.model_copy(update={"ref": "$(CI_COMMIT)"})})
    repositories = dict.fromkeys(target.rpartition(":")[0] for target in targets)
    tags = tuple(f"{each}:$({name})" for each in repositories for name in ("CI_BRANCH_TAG", "CI_COMMIT_TAG"))
    spec = _spec(settings, build.model_copy(update={"context": context}), tags, None)
    variables = {"CI_COMMIT": COMMIT, "CI_COMMIT_TAG": COMMIT_TAG, "CI_BRANCH_TAG": BRANCH_TAG}
    first = [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.annotations['{annotation}']"}}}
        for name, annotation in variables.items()
    ]
    pod = dict(BUILDERS[build.builder](spec))
    for kind in ("initContainers", "containers"):
        # Before the others: a variable can use only those above it.
        pod[kind] = [{**each, "env": [*first, *each["env"]]} for each in pod[kind]]
    return pod


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
