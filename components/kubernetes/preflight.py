"""A look at the cluster and at the local files that the settings name, before anything is made. Changes nothing."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from components import labels
from components.kubernetes import cluster, context, namespaces
from components.kubernetes.certificate import look
from components.kubernetes.cluster import Reader, ReadError
from components.kubernetes.namespaces import ENFORCED
from components.settings import NotAcceptedError, Problem, Settings
from components.settings.pod_security import looser
from components.settings.problems import HIDDEN

_OLDEST: Final = (1, 29)
"""The oldest API server that is tried for: the oldest that the official provider's own releases name."""

_APP_ARMOR: Final = (1, 30)
"""The first API server whose pods have `appArmorProfile`. Source: the Kubernetes documentation, "AppArmor"."""


def preflight(settings: Settings, reader: Reader, *, project: str, stack: str, deployed: bool) -> Iterator[Problem]:
    """Give what stands in the way.

    deployed: whether this stack is in this namespace of this cluster already. Then the cluster is not asked again what
    it was asked before the first update there.
    """
    yield from _contexts(settings)
    yield from look(settings)
    bad = list(_kubeconfig(settings))
    yield from bad
    if bad:
        return
    try:
        if not deployed:
            yield from _cluster(settings, reader, f"{project}/{stack}")
        yield from _given_secret(settings, reader, deployed=deployed)
    except ReadError as error:
        yield Problem(
            key="ci:kubernetes.context",
            code="unreachable",
            value=settings.kubernetes.context or HIDDEN,
            wrong=f"leads to a cluster that can't be asked: {error}",
            instead="see that `kubectl version` works with this kubeconfig and context (`kubectl config get-contexts`)",
        )


def _contexts(settings: Settings) -> Iterator[Problem]:
    for place, build in enumerate(settings.builds):
        try:
            context.of(build)
        except NotAcceptedError as error:
            folder = build.context.directory
            yield Problem(
                key=f"ci:builds[{place}].context.{'inline' if folder is None else 'directory'}",
                code=error.code,
                value=HIDDEN if folder is None else folder,
                wrong=error.wrong,
                instead=error.instead,
            )


def _kubeconfig(settings: Settings) -> Iterator[Problem]:
    chosen, wanted = settings.kubernetes.kubeconfig, settings.kubernetes.context
    if chosen is None:
        return
    path = Path(cluster.kubeconfig(settings.kubernetes) or "")
    key = "ci:kubernetes.kubeconfig"
    try:
        known: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        yield Problem(
            key=key,
            code="bad_file",
            value=chosen,
            wrong=f"can't be read ({error.strerror}: {path})",
            instead="give the file's path, or leave it out to use what kubectl uses",
        )
        return
    except (yaml.YAMLError, UnicodeDecodeError):
        known = None
    contexts = known.get("contexts") if isinstance(known, Mapping) else None
    if not isinstance(contexts, list):
        yield Problem(
            key=key, code="bad_file", value=chosen, wrong="is no kubeconfig", instead="give a file with contexts in it"
        )
        return
    names = [str(entry.get("name")) for entry in contexts if isinstance(entry, Mapping)]
    if wanted is not None and wanted not in names:
        yield Problem(
            key="ci:kubernetes.context",
            code="not_found",
            value=wanted,
            wrong=f"is not among the contexts of {chosen} ({', '.join(names) or 'it has none'})",
            instead="give one of them (`kubectl config get-contexts`)",
        )


def _app_armor(settings: Settings, version: tuple[int, int]) -> Iterator[Problem]:
    for place, build in enumerate(settings.builds):
        if build.builder == "buildkit" and version < _APP_ARMOR:
            yield Problem(
                key=f"ci:builds[{place}].builder",
                code="too_old",
                value=build.builder,
                wrong=f"needs pods with an appArmorProfile, which Kubernetes {version[0]}.{version[1]} does not know",
                instead=f"give a cluster of {_APP_ARMOR[0]}.{_APP_ARMOR[1]} or newer, or write builder: buildah",
            )


def _loosened(settings: Settings, marks: Mapping[str, str], me: str) -> Iterator[Problem]:
    """Refuse to take over a namespace whose owner holds it to more than this stack would."""
    level, held_to = settings.kubernetes.builds_pod_security, marks.get(ENFORCED)
    if held_to is not None and labels.owner(marks) != me and looser(level, held_to):
        yield Problem(
            key="ci:kubernetes.buildsPodSecurity",
            code="conflict",
            value=level,
            wrong=f"would loosen {namespaces.of_builds(settings.kubernetes.namespace)}, which is held to {held_to} by "
            "somebody else",
            instead=f"write {held_to}, or let its owner change its label {ENFORCED}, or give another namespace",
        )


def _given_secret(settings: Settings, reader: Reader, *, deployed: bool) -> Iterator[Problem]:
    """Look for the registry's certificate. Its pod would wait for it, and the one before it would be gone."""
    name = settings.registry.tls.secret_name if settings.registry.tls is not None else None
    place = settings.kubernetes.namespace
    if name is None or reader.has_secret(place, name):
        return
    make = f"make it with `kubectl --namespace {place} create secret tls {name} --cert=FILE --key=FILE`"
    first = f"; before the first update also `kubectl create namespace {place}`, and write adoptNamespaces: true"
    yield Problem(
        key="ci:registry.tls.secretName",
        code="not_found",
        value=name,
        wrong=f"is not among the Secrets of the namespace {place}",
        instead=make if deployed else f"{make}{first}",
    )


def _cluster(settings: Settings, reader: Reader, me: str) -> Iterator[Problem]:
    version = reader.version()
    if version < _OLDEST:
        yield Problem(
            key="ci:kubernetes.context",
            code="too_old",
            value=settings.kubernetes.context or HIDDEN,
            wrong=f"leads to Kubernetes {version[0]}.{version[1]}",
            instead=f"give a cluster of {_OLDEST[0]}.{_OLDEST[1]} or newer",
        )
    yield from _app_armor(settings, version)
    of = settings.kubernetes.namespace
    there = reader.namespaces(of, namespaces.of_builds(of))
    yield from _loosened(settings, there.get(namespaces.of_builds(of), {}), me)
    for name, marks in there.items():
        owner = labels.owner(marks)
        if owner != me and not settings.kubernetes.adopt_namespaces:
            yield Problem(
                key="ci:kubernetes.namespace",
                code="name_taken",
                value=of,
                wrong=f"leads to the namespace {name}, which is there already and "
                + (f"belongs to the stack {owner}" if owner else "which no stack of this project made"),
                instead="give another name, or write adoptNamespaces: true to take it over with what is in it",
            )
    classes, wanted = reader.storage_classes(), settings.registry.storage_class
    if wanted is not None and wanted not in classes:
        yield Problem(
            key="ci:registry.storageClass",
            code="not_found",
            value=wanted,
            wrong=f"is not among the cluster's ({', '.join(sorted(classes)) or 'it has none'})",
            instead="give one of them (`kubectl get storageclass`)",
        )
    if wanted is None and not any(classes.values()):
        yield Problem(
            key="ci:registry.storageClass",
            code="required",
            wrong="is missing, and the cluster has no default one",
            instead=f"give one of {', '.join(sorted(classes)) or 'those that you add to the cluster'}",
        )
