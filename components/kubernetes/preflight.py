"""Checks the cluster and the local files in the settings before anything is created. Changes nothing."""

import sys
import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Final

import pulumi
import yaml

from .. import labels
from ..settings import NotAcceptedError, Problem, Settings
from ..settings.pod_security import looser
from ..settings.problems import HIDDEN
from . import cluster, context, endpoints, named, queue, server, tls_preflight
from .cluster import ApiReader, NamespaceInfo, ReadError
from .namespaces import ENFORCED, names, of_builds

NEWER: Final = (1, 30)
"""The first API server with `appArmorProfile` in pods, and with ValidatingAdmissionPolicy as `v1`. Source: the
Kubernetes documentation, "AppArmor" and "Validating Admission Policy"."""

_TERMINATION_SECONDS: Final = 120
"""How long an update waits for the end of a namespace that is being deleted."""

_PAUSE_SECONDS: Final = 2.0


def preflight(settings: Settings, reader: ApiReader, *, project: str, stack: str, deployed: bool) -> Iterator[Problem]:
    """Yield the problems that block the deployment.

    deployed: whether this stack already is in this namespace of this cluster. Then most of the questions to the cluster
    were answered before its first update, and a preview asks none of them.
    """
    yield from _contexts(settings)
    yield from tls_preflight.preflight(settings)
    bad = list(_kubeconfig(settings))
    yield from bad
    if bad:
        return
    try:
        if not deployed or not pulumi.runtime.is_dry_run():
            found = yield from _namespaces(settings, reader, deployed=deployed)
            if not deployed:
                yield from _cluster(settings, reader, found, f"{project}/{stack}")
            if settings.kubernetes.namespace in found:
                yield from _half_restored(settings.kubernetes.namespace, reader, stack)
        yield from _given_secret(settings, reader, deployed=deployed)
        yield from _queue(settings, reader)
        yield from named.preflight(settings, reader, owner=f"{project}/{stack}")
    except ReadError as error:
        yield Problem(
            key="ci:kubernetes.context",
            code="unreachable",
            value=settings.kubernetes.context or HIDDEN,
            wrong=f"points to an unreachable cluster: {error}",
            instead="check that `kubectl version` works with this kubeconfig and context",
        )


def _contexts(settings: Settings) -> Iterator[Problem]:
    for index, build in enumerate(settings.builds):
        try:
            context.of(build)
        except NotAcceptedError as error:
            folder = build.context.directory
            yield Problem(
                key=f"ci:builds[{index}].context.{'inline' if folder is None else 'directory'}",
                code=error.code,
                value=HIDDEN if folder is None else folder,
                wrong=error.wrong,
                instead=error.instead,
            )


def _kubeconfig(settings: Settings) -> Iterator[Problem]:
    chosen, wanted = settings.kubernetes.kubeconfig, settings.kubernetes.context
    if chosen is None:
        return
    contexts = None
    wrong, instead = "is not a kubeconfig", "give a file that lists contexts, for example ~/.kube/config"
    try:
        known = cluster.kubeconfig(chosen)
        contexts = known.get("contexts") if isinstance(known, Mapping) else None
    except OSError as error:
        wrong = f"can't be read ({error.strerror}: {Path(chosen).expanduser().absolute()})"
        instead = "give the file's path, or leave the key out to use kubectl's kubeconfig"
    except (yaml.YAMLError, ValueError):  # a date that is none, brackets without an end
        pass
    if not isinstance(contexts, list):
        yield Problem("ci:kubernetes.kubeconfig", "bad_file", wrong, instead, chosen)
        return
    names = [name for entry in contexts if isinstance(entry, Mapping) and isinstance(name := entry.get("name"), str)]
    if wanted is not None and wanted not in names:
        yield Problem(
            key="ci:kubernetes.context",
            code="not_found",
            value=wanted,
            wrong=f"is not a context of {chosen}, which has {', '.join(names) or 'none'}",
            instead="give one of them (`kubectl config get-contexts`)",
        )


def _namespaces(
    settings: Settings, reader: ApiReader, *, deployed: bool
) -> Generator[Problem, None, Mapping[str, NamespaceInfo]]:
    """Yield a problem for a namespace that is still being deleted; return those that exist."""
    deadline = time.monotonic() + _TERMINATION_SECONDS
    told = False
    while True:
        found = reader.namespaces(*names(settings))
        ending = [name for name, info in found.items() if info.terminating]
        if not ending or pulumi.runtime.is_dry_run():
            # A preview creates nothing, so it does not wait. Where the namespace was, there will be none.
            return {name: info for name, info in found.items() if not info.terminating}
        if deployed:
            # The engine has refreshed the state already, so this update would find every object in its place.
            yield _taken(
                settings,
                f"{ending[0]}, which somebody is deleting",
                f"run `kubectl wait --for=delete namespace/{ending[0]}`, then the update again",
            )
            return found
        if not told:
            told = True
            # Not by pulumi.log, which would show it only after the wait.
            print(f"waiting for the namespace {ending[0]}, which is being deleted", file=sys.stderr, flush=True)  # noqa: T201
        if time.monotonic() > deadline:
            yield _taken(
                settings,
                f"{ending[0]}, which has been in deletion for more than {_TERMINATION_SECONDS} s",
                f"see what blocks that (`kubectl describe namespace {ending[0]}`), or give another name",
            )
            return found
        time.sleep(_PAUSE_SECONDS)


def _taken(settings: Settings, what: str, instead: str) -> Problem:
    wrong = f"needs the namespace {what}"
    return Problem("ci:kubernetes.namespace", "name_taken", wrong, instead, settings.kubernetes.namespace)


def _newer(settings: Settings, version: tuple[int, int]) -> Iterator[Problem]:
    if version >= NEWER:
        return
    for index, build in enumerate(settings.builds):
        lacking = [("builder", "appArmorProfile in pods", "builder: buildah")] if build.builder == "buildkit" else []
        lacking += [("onPush", "ValidatingAdmissionPolicy", "a schedule")] if build.on_push is not None else []
        for key, what, other in lacking:
            yield Problem(
                key=f"ci:builds[{index}].{key}",
                code="too_old",
                value=build.builder if key == "builder" else HIDDEN,
                wrong=f"needs {what}, which Kubernetes {version[0]}.{version[1]} does not have",
                instead=f"use a cluster of {NEWER[0]}.{NEWER[1]} or newer, or {other}",
            )


def _loosened(settings: Settings, marks: Mapping[str, str], me: str) -> Iterator[Problem]:
    """Refuse to take over a namespace whose owner enforces a stricter level than this stack would."""
    level, enforced = settings.kubernetes.builds_pod_security, marks.get(ENFORCED)
    if enforced is not None and labels.owner(marks) != me and looser(level, enforced):
        yield Problem(
            key="ci:kubernetes.buildsPodSecurity",
            code="conflict",
            value=level,
            wrong=f"is looser than {enforced}, which the owner of the namespace "
            f"{of_builds(settings.kubernetes.namespace)} enforces there",
            instead=f"give {enforced}, or let the owner change the label {ENFORCED}, or give another namespace",
        )


def _given_secret(settings: Settings, reader: ApiReader, *, deployed: bool) -> Iterator[Problem]:
    """Look for the Secret with the registry's certificate: without it, the new pod would wait for ever."""
    name = settings.registry.tls.secret_name if settings.registry.tls is not None else None
    namespace = settings.kubernetes.namespace
    if name is None or reader.has_secret(namespace, name):
        return
    command = f"create it: `kubectl --namespace {namespace} create secret tls {name} --cert=FILE --key=FILE`"
    first = f"; before that `kubectl create namespace {namespace}`, and set adoptNamespaces: true"
    yield Problem(
        key="ci:registry.tls.secretName",
        code="not_found",
        value=name,
        wrong=f"is not a Secret in the namespace {namespace}",
        instead=command if deployed else f"{command}{first}",
    )


def _half_restored(namespace: str, reader: ApiReader, stack: str) -> Iterator[Problem]:
    """Return a problem for a volume that a restore did not finish: the registry would serve the half of it."""
    claim = reader.get(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{endpoints.REGISTRY}") or {}
    marks = claim.get("metadata", {})
    mark = marks.get("labels", {}).get(labels.RESTORE)
    if not mark or marks.get("annotations", {}).get(labels.RESTORED) == mark:
        return
    # An earlier version wrote no annotation. What is deployed on the volume was asked for then.
    if reader.get(f"/apis/apps/v1/namespaces/{namespace}/statefulsets/{server.stateful_set(endpoints.REGISTRY)}"):
        return
    yield Problem(
        key="ci:kubernetes.namespace",
        code="half_restored",
        value=namespace,
        wrong=f"has the volume claim {endpoints.REGISTRY} with an unfinished restore",
        instead=f"run it again (`make restore STACK={stack} FILE=...`), or remove the claim (`kubectl --namespace "
        f"{namespace} delete pvc {endpoints.REGISTRY}`). If an earlier version restored it: `make up STACK={stack}`",
    )


def _queue(settings: Settings, reader: ApiReader) -> Iterator[Problem]:
    """Look for Kueue. Without it the provider would fail at each object of the queue, in the middle of an update."""
    bound = settings.kubernetes.parallel_builds
    if bound is not None and not reader.serves(queue.API):
        yield Problem(
            key="ci:kubernetes.parallelBuilds",
            code="not_found",
            value=bound,
            wrong=f"needs Kueue, and the cluster does not have {queue.API}",
            instead="install Kueue 0.15 or newer in the cluster (https://kueue.sigs.k8s.io/docs/installation), or "
            f"remove the key; Pulumi's `--parallel {bound}` limits the builds of one update only",
        )


def _cluster(settings: Settings, reader: ApiReader, found: Mapping[str, NamespaceInfo], me: str) -> Iterator[Problem]:
    version = reader.version()
    if version < cluster.OLDEST:
        yield Problem(
            key="ci:kubernetes.context",
            code="too_old",
            value=settings.kubernetes.context or HIDDEN,
            wrong=f"points to a cluster of Kubernetes {version[0]}.{version[1]}",
            instead=f"use a cluster of {cluster.OLDEST[0]}.{cluster.OLDEST[1]} or newer",
        )
    yield from _newer(settings, version)
    builds = found.get(of_builds(settings.kubernetes.namespace))
    yield from _loosened(settings, builds.labels if builds is not None else {}, me)
    for name, info in found.items():
        owner = labels.owner(info.labels)
        if owner != me and not settings.kubernetes.adopt_namespaces:
            whose = f"belongs to the stack {owner}" if owner else "belongs to no stack of this project"
            instead = "give another name, or set adoptNamespaces: true to take it over with its content"
            yield _taken(settings, f"{name}, which exists and {whose}", instead)
    classes, wanted = reader.storage_classes(), settings.registry.storage_class
    of_cache = settings.buildkit.storage_class if settings.buildkit is not None else None
    for key, given in (("ci:registry.storageClass", wanted), ("ci:buildkit.storageClass", of_cache)):
        if given is None or given in classes:
            continue
        yield Problem(
            key=key,
            code="not_found",
            value=given,
            wrong=f"is not a storage class of the cluster, which has {', '.join(sorted(classes)) or 'none'}",
            instead="give one of them (`kubectl get storageclass`)",
        )
    if wanted is None and not any(classes.values()):
        yield Problem(
            key="ci:registry.storageClass",
            code="required",
            wrong="is required, since the cluster has no default storage class",
            instead=f"give one of {', '.join(sorted(classes))}" if classes else "add a storage class to the cluster",
        )
