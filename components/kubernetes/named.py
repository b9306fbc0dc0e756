"""Looks in the cluster for what the settings name. Without it, an update would fail, or wait for ever, in its middle.

Each question is asked only if a setting names something, in a preview of a deployed stack too. What this user may not
read is not asked.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from .. import labels
from ..settings import Problem, Settings
from . import endpoints
from .cluster import ApiReader, ForbiddenError
from .namespaces import of_builds

_CERT_MANAGER: Final = "cert-manager.io/v1"
_AUTOSCALERS: Final = ("/apis/karpenter.sh/v1", "/api/v1/namespaces/kube-system/configmaps/cluster-autoscaler-status")
"""What a cluster that adds nodes has: Karpenter's API, or the status of the Cluster Autoscaler. Source: their docs."""

_OLDEST: Final[Mapping[str, tuple[int, int]]] = {
    "Kubernetes": (1, 33),
    "Linux": (6, 3),
    "containerd": (2, 0),
    "cri-o": (1, 25),
}
"""Since when user namespaces are on by default. Source: the Kubernetes documentation, "User Namespaces"."""


def preflight(settings: Settings, reader: ApiReader, *, owner: str) -> Iterator[Problem]:
    """Yield a problem for each thing that the settings name and the cluster lacks, or has given to somebody else.

    owner: this stack, as `project/stack`.
    """
    for look in (_issuer, _classes, _claims, _nodes, _user_namespaces):
        with contextlib.suppress(ForbiddenError):
            yield from look(settings, reader)
    with contextlib.suppress(ForbiddenError):
        yield from _node_ports(settings, reader, owner)


def _items(reader: ApiReader, path: str) -> list[Any]:
    found: list[Any] = (reader.get(path) or {}).get("items", [])
    return found


def _issuer(settings: Settings, reader: ApiReader) -> Iterator[Problem]:
    tls, namespace = settings.registry.tls, settings.kubernetes.namespace
    if tls is None or tls.issuer is None:
        return
    key = "ci:registry.tls.issuer"
    if not reader.serves(_CERT_MANAGER):
        instead = "install it in the cluster (https://cert-manager.io/docs/installation), or give secretName instead"
        wrong = f"needs cert-manager, and the cluster lacks {_CERT_MANAGER}"
        yield Problem(key, "not_found", wrong, instead, tls.issuer)
        return
    whole = tls.issuer_kind == "ClusterIssuer"
    path = f"/apis/{_CERT_MANAGER}/" + ("clusterissuers" if whole else f"namespaces/{namespace}/issuers")
    if reader.get(f"{path}/{tls.issuer}") is None:
        names = ", ".join(sorted(each["metadata"]["name"] for each in _items(reader, path))) or "none"
        where = "of the cluster" if whole else f"in the namespace {namespace}"
        wrong = f"is no {tls.issuer_kind} {where}, which has {names}"
        yield Problem(key, "not_found", wrong, "give one that there is, or create it first", tls.issuer)


def _classes(settings: Settings, reader: ApiReader) -> Iterator[Problem]:
    ingress = ("/apis/networking.k8s.io/v1/ingressclasses", "ingress class", "nginx")
    given: list[tuple[str, str | None, tuple[str, str, str]]] = [
        (f"ci:{section}.ingress.className", each.ingress.class_name, ingress)
        for section, each in {"registry": settings.registry, "webhook": settings.webhook}.items()
        if each is not None and each.ingress is not None
    ]
    runtime = ("/apis/node.k8s.io/v1/runtimeclasses", "RuntimeClass", "gvisor")
    given.append(("ci:kubernetes.runtimeClass", settings.kubernetes.runtime_class, runtime))
    for key, name, (path, kind, example) in given:
        if name is not None and reader.get(f"{path}/{name}") is None:
            names = ", ".join(sorted(each["metadata"]["name"] for each in _items(reader, path))) or "none"
            wrong = f"is no {kind} of the cluster, which has {names}"
            yield Problem(key, "not_found", wrong, f"give one that there is, such as {example}", name)


def _claims(settings: Settings, reader: ApiReader) -> Iterator[Problem]:
    namespace = of_builds(settings.kubernetes.namespace)
    for index, build in enumerate(settings.builds):
        volume = build.context.volume
        if volume is not None and reader.claim(namespace, volume.claim) is None:
            yield Problem(
                key=f"ci:builds[{index}].context.volume.claim",
                code="not_found",
                value=volume.claim,
                wrong=f"is no PersistentVolumeClaim in the namespace {namespace}",
                instead="create it there first; if the stack is new, deploy it without this build, then add the build",
            )


def _nodes(settings: Settings, reader: ApiReader) -> Iterator[Problem]:
    wanted: list[tuple[str, str | None, Any]] = [
        (f"ci:builds[{index}]", build.platform, build.resources) for index, build in enumerate(settings.builds)
    ]
    wanted += [("ci:registry", None, settings.registry)]
    wanted += [("ci:buildkit", None, settings.buildkit)] if settings.buildkit is not None else []
    named = [each for each in wanted if each[1] is not None or "memory_mib" in each[2].model_fields_set]
    nodes = _items(reader, "/api/v1/nodes") if named else []
    if not nodes or any(reader.get(path) is not None for path in _AUTOSCALERS):
        return
    from kubernetes.utils import parse_quantity  # noqa: PLC0415 - see ApiReader

    for key, platform, resources in named:
        architecture = platform.split("/")[1] if platform is not None else None
        fitting = [
            int(parse_quantity(node["status"]["allocatable"]["memory"]) / 2**20)
            for node in nodes
            if architecture in {None, node["metadata"].get("labels", {}).get("kubernetes.io/arch")}
        ]
        if not fitting:
            wrong = "needs a node of that architecture, and the cluster has none"
            yield Problem(f"{key}.platform", "not_found", wrong, "add such a node, or give another platform", platform)
        elif resources.memory_mib > max(fitting):
            memory = f"{key}.resources.memoryMib" if "builds" in key else f"{key}.memoryMib"
            wrong = f"is more than any node has: {max(fitting)} MiB can be given to pods"
            yield Problem(memory, "too_large", wrong, f"give at most {max(fitting)}", resources.memory_mib)


def _user_namespaces(settings: Settings, reader: ApiReader) -> Iterator[Problem]:
    """Find the nodes that can't give a pod a user namespace. A build on one would fail before its first step."""
    if settings.kubernetes.isolation is None:
        return
    lacking = [each for node in _items(reader, "/api/v1/nodes") if (each := without_user_namespaces(node))]
    if lacking:
        yield Problem(
            "ci:kubernetes.isolation",
            "too_old",
            f"needs user namespaces, which these nodes have not: {'; '.join(lacking[:5])}",
            f"use {', '.join(f'{part} {at[0]}.{at[1]}' for part, at in _OLDEST.items())} or newer, taint or cordon the "
            "nodes, or remove the key",
            settings.kubernetes.isolation,
        )


def without_user_namespaces(node: Mapping[str, Any]) -> str | None:
    """Return what a node that takes builds lacks for user namespaces, by what it reports; None if nothing."""
    kept = [each for each in node["spec"].get("taints") or () if each["effect"] != "PreferNoSchedule"]
    if node["spec"].get("unschedulable") or kept:
        return None
    info = node["status"]["nodeInfo"]
    runtime, _, version = info["containerRuntimeVersion"].partition("://")
    has = {"Kubernetes": info["kubeletVersion"], "Linux": info["kernelVersion"], runtime: version}
    numbers = {part: tuple(map(int, re.findall(r"\d+", text)[:2])) for part, text in has.items()}
    old = [f"{part} {has[part]}" for part, at in numbers.items() if part not in _OLDEST or at < _OLDEST[part]]
    return f"{node['metadata']['name']} with {' and '.join(old)}" if old else None


def _node_ports(settings: Settings, reader: ApiReader, owner: str) -> Iterator[Problem]:
    given = {"registry": settings.registry.node_port}
    given["webhook"] = settings.webhook.node_port if settings.webhook is not None else None
    named = {port: section for section, port in given.items() if port is not None}
    for service in _items(reader, "/api/v1/services") if named else ():
        namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
        ports = {port.get("nodePort") for port in service["spec"].get("ports") or ()} & named.keys()
        ours = namespace == settings.kubernetes.namespace and name in {endpoints.REGISTRY, endpoints.WEBHOOK}
        if ours or not ports:
            continue
        # A stack that is renamed removes its Service before it makes the new one.
        info = reader.namespaces(namespace).get(namespace)
        if info is not None and labels.owner(info.labels) == owner:
            continue
        for port in ports:
            wrong = f"is already used by the Service {name} in the namespace {namespace}"
            yield Problem(f"ci:{named[port]}.nodePort", "port_in_use", wrong, "give another from 30000 to 32767", port)
