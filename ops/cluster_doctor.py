"""What `doctor` looks at in the cluster of a stack on Kubernetes. Changes nothing there."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING

from kubernetes import client, config

from components.kubernetes.cluster import OLDEST
from ops import cluster
from ops.finding import Finding
from ops.toolchain.console import OpsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.kubernetes.cluster import ApiReader
    from ops.stack import Stack

ENFORCERS = {
    "antrea-agent": "Antrea",
    "calico-node": "Calico",
    "canal": "Canal",
    "cilium": "Cilium",
    "kube-network-policies": "kube-network-policies",
    "kube-router": "kube-router",
    "ovnkube-node": "OVN-Kubernetes",
    "weave-net": "Weave Net",
}
"""DaemonSets whose pods enforce NetworkPolicies, with what they are part of. Source: each project's own manifests."""

NEEDED = (
    ("", "namespaces"),
    ("apps", "statefulsets"),
    ("batch", "jobs"),
    ("", "secrets"),
    ("networking.k8s.io", "networkpolicies"),
    ("rbac.authorization.k8s.io", "roles"),
)
"""API group and resource of what an update creates in any namespace."""


def examine(stack: Stack) -> Iterator[Finding]:
    """Look at everything in the order in which it is needed; nothing after the first thing that is missing."""
    place, there = cluster.of(stack), cluster.reader(stack)
    try:
        cluster.require(stack)
    except OpsError as trouble:
        yield Finding("kubeconfig", trouble.what.rstrip("."), "BAD", trouble.remedy)
        return
    yield Finding("kubeconfig", str(place.kubeconfig or "where kubectl looks ($KUBECONFIG, ~/.kube/config)"))
    try:
        with cluster.asked():
            yield _context(place, there)
            yield _version(there)
            yield _rights(there)
            yield _storage(there, stack.settings.registry.storage_class)
            yield _policies(place, there)
    except OpsError as error:
        yield Finding("cluster", error.what, "BAD", f"See whether this says more: {place.kubectl} version")


def _context(place: cluster.Place, there: ApiReader) -> Finding:
    server = there.client.configuration.host
    if place.context:
        return Finding("context", f"{place.context}, as the stack's file says: {server}")
    try:
        _, current = config.list_kube_config_contexts(str(place.kubeconfig) if place.kubeconfig else None)
        seen = f"{current['name']}: {server}"
    except config.ConfigException:
        seen = f"that of the pod that this runs in: {server}"
    if place.kubeconfig:
        return Finding("context", seen)
    remedy = "The stack names neither file nor context, so `kubectl config use-context` would move it"
    return Finding("context", seen, "note", remedy)


def _version(there: ApiReader) -> Finding:
    version = client.VersionApi(there.client).get_code().git_version
    if there.version() < OLDEST:
        return Finding("cluster", version, "BAD", f"{OLDEST[0]}.{OLDEST[1]} or newer is needed")
    return Finding("cluster", version)


def _rights(there: ApiReader) -> Finding:
    """Whether the user may do what an update does. The question itself needs no right and changes nothing."""
    api = client.AuthorizationV1Api(there.client)
    missing = []
    for group, resource in NEEDED:
        wanted = {"verb": "create", "group": group, "resource": resource}
        review = client.V1SelfSubjectAccessReview(spec={"resourceAttributes": wanted})
        if not api.create_self_subject_access_review(review).status.allowed:
            missing.append(resource)
    if missing:
        remedy = "Nothing is wrong if it may in the stack's own namespaces; else ask whoever looks after the cluster"
        return Finding("rights", f"this user may not create in any namespace: {', '.join(missing)}", "note", remedy)
    return Finding("rights", "this user may create what the stack is made of")


def _storage(there: ApiReader, wanted: str | None) -> Finding:
    classes = there.storage_classes()
    default = next((name for name, is_default in classes.items() if is_default), None)
    if wanted in classes:
        return Finding("storage class", str(wanted))
    if default and not wanted:
        return Finding("storage class", f"{default}, the cluster's default")
    known = ", ".join(sorted(classes)) or "it has none"
    seen = f"{wanted} is not among the cluster's ({known})" if wanted else f"the cluster has no default one ({known})"
    return Finding("storage class", seen, "BAD", "Set another: make set KEY=ci:registry.storageClass")


def _policies(place: cluster.Place, there: ApiReader) -> Finding:
    """Whether NetworkPolicies hold. The API takes them in any case, and says nothing about it."""
    name, unknown = "NetworkPolicies", "whether they are enforced is not known"
    if place.lab:
        return Finding(name, "enforced by the lab itself")
    try:
        listed = client.AppsV1Api(there.client).list_daemon_set_for_all_namespaces()
    except client.ApiException as error:
        if error.status != http.HTTPStatus.FORBIDDEN:
            raise
        return Finding(name, f"{unknown}: this user may not look at DaemonSets", "note")
    sets = {each.metadata.name for each in listed.items}
    enforcing = sorted({ENFORCERS[each] for each in sets & ENFORCERS.keys()})
    if enforcing:
        return Finding(name, f"enforced by {', '.join(enforcing)}")
    if any(each.startswith("kube-flannel") for each in sets):
        remedy = "Add an enforcer, such as Calico"
        return Finding(name, "not enforced by Flannel: builds reach everything", "note", remedy)
    remedy = (
        "No enforcer that is known here runs in it; without one they do nothing. Ask whoever looks after the cluster"
    )
    return Finding(name, unknown, "note", remedy)
