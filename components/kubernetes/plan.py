"""What one build will run, and how its Job is named. Pure: from the settings and the packed context."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from .. import certificates
from ..labels import BRANCH, BRANCH_TAG, COMMIT, COMMIT_TAG
from ..settings import BuildSettings, Settings
from ..settings.cluster_checks import RESERVED_TAG, own_repository
from . import context, endpoints
from .builders import BUILDERS, BuildSpec, PodSpec
from .context import Packed
from .history import PushedImage

_DIGITS: Final = 12
"""How many hexadecimal digits of a SHA-256 are in the name of a Job or a ConfigMap."""

_DECIDES_NOT: Final = {"name", "context", "resources", "deadline_seconds", "retries", "schedule", "on_push"}
"""Fields of a build that say where, when and how long it runs. Its context and its destinations are added resolved."""

_NO_DECISIONS: Final = {"command", "resources", "sizeLimit"}
"""Fields of a pod: the scripts, and what it may use."""

_OWN_TAG: Final = re.compile(rf'[ ,][^ ,"]+:{RESERVED_TAG}[0-9a-f]{{{_DIGITS}}}')
_OWN: Final = re.compile(rf"--destination=.+:{RESERVED_TAG}[0-9a-f]{{{_DIGITS}}}|--skip-push-permission-check")
"""The destination that a Job has of its own, in a list of them or as an argument; and how Kaniko tries the login."""

_NOT_CONTENT: Final = {"credentials", "user", "known_hosts"}
"""Fields of a context in git that say how it is read, not what is read."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A build that is ready to be registered."""

    index: int
    """Its index in `ci:builds`."""

    job: str
    """The Job's name: the build's name and a hash of everything that decides the result."""

    decides: str
    """That hash. A Job that an earlier release named has another one in its name."""

    decides_on_push: str | None
    """The same for the builds of pushed commits, without the commit; None if no branch is watched."""

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


def plan(settings: Settings, index: int, last: PushedImage | None = None) -> Plan:
    """Return the plan of the build at this index of `ci:builds`. Raises ContextError.

    last: what the last update left. Its Job keeps its name if nothing that decides has changed.
    """
    build, registry = settings.builds[index], endpoints.of(settings)
    packed = context.of(build)
    config_map = f"{build.name}-context-{packed.digest[:_DIGITS]}" if packed is not None else None
    targets = build.destinations or (f"{build.name}:latest",)
    own = [repository for target in targets if (repository := own_repository(target)) is not None]
    first = own_repository(targets[0])
    spec = _spec(settings, build, targets, config_map)
    make = BUILDERS[build.builder]
    decides = _decides(settings, build, targets, config_map)
    job = f"{build.name}-{decides}"
    if last is not None and _is_the_same(last, make(spec), build, decides):
        job = last.job
    # The registry deletes untagged images. This tag keeps the image of the output `images` when the others have moved.
    kept = [f"{registry.push}/{repository}:{RESERVED_TAG}{job.rpartition('-')[2]}" for repository in own[:1]]
    return Plan(
        index=index,
        job=job,
        decides=decides,
        decides_on_push=_decides(settings, *_watched(build, targets), None) if build.on_push else None,
        config_map=config_map,
        pod=make(replace(spec, destinations=[*spec.destinations, *kept])),
        scheduled=make(spec) if build.schedule else None,
        on_push=_of_commit(settings, *_watched(build, targets)) if build.on_push else None,
        settings=build,
        repository=f"{registry.pull}/{first}" if first is not None else targets[0].rpartition(":")[0],
        packed=packed,
        in_own_registry=bool(own),
    )


def _decides(settings: Settings, build: BuildSettings, targets: Sequence[str], config_map: str | None) -> str:
    """Return the hash of what decides a build's result: nothing of where it runs, or of what it pulls and pushes by.

    A field that a later release adds does not change it while it has its default.
    """
    context = build.context.model_dump(mode="json", exclude={"directory": True, "inline": True, "git": _NOT_CONTENT})
    storage = settings.kubernetes.object_storage if (build.context.archive or "").startswith("s3:") else None
    decides = {
        **build.model_dump(mode="json", exclude=_DECIDES_NOT, exclude_defaults=True),
        "builder": [build.builder, settings.kubernetes.image_of(build.builder)],
        "context": [context, config_map, storage and storage.model_dump(mode="json")],
        "destinations": list(targets),
    }
    return _hash(json.dumps(decides, sort_keys=True))[:_DIGITS]


def _is_the_same(last: PushedImage, pod: PodSpec, build: BuildSettings, decides: str) -> bool:
    """Return whether what was pushed is what `decides` stands for.

    Until 0.1.0 a Job's name had a hash of its whole pod and of the trigger, which is in no pod.
    """
    if last.decides is not None or build.trigger:
        return last.decides == decides
    if build.context.volume is not None:
        pod = {**pod, "initContainers": ()}  # 0.1.0 did not check a volume for Kaniko, and the check decides nothing
    return _has(last.pod, pod)


def _has(live: Any, wanted: Any) -> bool:  # noqa: ANN401 - the API's shapes
    """Return whether an object of the API has all that is wanted and decides. It has defaults besides."""
    if isinstance(wanted, Mapping):
        # The API leaves out what is empty, and writes quantities in another way.
        items = {key: value for key, value in wanted.items() if value and key not in _NO_DECISIONS}
        return isinstance(live, Mapping) and all(_has(live.get(key), value) for key, value in items.items())
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        lists = [[each for each in one or () if not _OWN.fullmatch(str(each))] for one in (live, wanted)]
        return len(lists[0]) == len(lists[1]) and all(map(_has, *lists))
    return bool(_OWN_TAG.sub("", live) == wanted if isinstance(live, str) else live == wanted)


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
        user_namespace=kubernetes.isolation is not None,
        runtime_class=kubernetes.runtime_class,
        trusted_ca=_hash(certificates.read(kubernetes.trusted_ca_file)) if kubernetes.trusted_ca_file else None,
        object_storage={
            **({"AWS_REGION": storage.region} if storage.region else {}),
            **({"S3_ENDPOINT": storage.endpoint, "S3_FORCE_PATH_STYLE": "true"} if storage.endpoint else {}),
        },
    )


def _watched(build: BuildSettings, targets: Sequence[str]) -> tuple[BuildSettings, tuple[str, ...]]:
    """Return a build and its destinations with the variables of a commit, which the kubelet puts in."""
    git = build.context.git
    if git is None:
        raise AssertionError
    context = build.context.model_copy(update={"git": git.model_copy(update={"ref": "$(CI_COMMIT)"})})
    repositories = dict.fromkeys(target.rpartition(":")[0] for target in targets)
    tags = tuple(f"{each}:$({name})" for each in repositories for name in ("CI_BRANCH_TAG", "CI_COMMIT_TAG"))
    return build.model_copy(update={"context": context}), tags


def _of_commit(settings: Settings, build: BuildSettings, tags: tuple[str, ...]) -> PodSpec:
    """Return a pod that is the same for every commit: it finds the commit and the tags in its own annotations."""
    spec = _spec(settings, build, tags, None)
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
