"""What `doctor` looks at in the cluster of a stack on Kubernetes. Changes nothing there."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING

import yaml

from ops import cluster
from ops.cluster import ApiError, Cluster
from ops.finding import Finding
from ops.toolchain.console import OpsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.stack import Stack

OLDEST = (1, 29)
"""The oldest API server that the project is for; components/kubernetes/preflight.py refuses older ones."""

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"

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

IGNORERS = {"kube-flannel": "Flannel", "kube-flannel-ds": "Flannel"}
"""DaemonSets of networks that enforce none by themselves."""

NEEDED = (
    ("create", "", "namespaces"),
    ("create", "apps", "statefulsets"),
    ("create", "batch", "jobs"),
    ("create", "", "secrets"),
    ("create", "networking.k8s.io", "networkpolicies"),
    ("create", "rbac.authorization.k8s.io", "roles"),
)
"""What an update does in any namespace: verb, API group, resource."""


def examine(stack: Stack) -> Iterator[Finding]:
    """Look at everything in the order in which it is needed; nothing after the first thing that is missing."""
    place = cluster.of(stack)
    named = f"{place.kubeconfig}" if place.kubeconfig else "where kubectl looks ($KUBECONFIG, ~/.kube/config)"
    try:
        cluster.require(stack)
        there = Cluster(place)
        server = there.server
    except OpsError as trouble:
        yield Finding("kubeconfig", "BAD", trouble.what.rstrip("."), trouble.remedy)
        return
    yield Finding("kubeconfig", "ok", named)
    yield _context(place, server)
    try:
        yield _version(there)
        yield _rights(there)
        yield _storage(there, stack.settings.registry.storage_class)
        yield _policies(there)
    except ApiError as error:
        yield Finding("cluster", "BAD", error.what, f"See whether this says more: {place.kubectl} version")


def _context(place: cluster.Place, server: str) -> Finding:
    if place.context:
        return Finding("context", "ok", f"{place.context}, as the stack's file says: {server}")
    current = _current(place)
    seen = f"{current or 'the current one'}: {server}"
    if place.kubeconfig:
        return Finding("context", "ok", seen)
    remedy = "The stack names neither file nor context, so `kubectl config use-context` would move it"
    return Finding("context", "note", seen, remedy)


def _current(place: cluster.Place) -> str:
    """The name of the current context, as far as one file tells it."""
    if place.kubeconfig is None:
        return ""
    try:
        return str((yaml.safe_load(place.kubeconfig.read_text()) or {}).get("current-context") or "")
    except (OSError, ValueError, AttributeError, yaml.YAMLError):
        return ""


def _version(there: Cluster) -> Finding:
    said = there.ask("/version")
    major, minor = (int("".join(filter(str.isdigit, str(said.get(part) or "0"))) or 0) for part in ("major", "minor"))
    version = str(said.get("gitVersion"))
    if (major, minor) < OLDEST:
        return Finding("cluster", "BAD", version, f"{OLDEST[0]}.{OLDEST[1]} or newer is needed")
    return Finding("cluster", "ok", version)


def _rights(there: Cluster) -> Finding:
    """Whether the user may do what an update does. The question itself needs no right and changes nothing."""
    missing = []
    for verb, group, resource in NEEDED:
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"verb": verb, "group": group, "resource": resource}},
        }
        said = there.ask("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", method="POST", body=review)
        if not said["status"].get("allowed"):
            missing.append(f"{verb} {resource}")
    if missing:
        remedy = "Nothing is wrong if it may in the stack's own namespaces; else ask whoever looks after the cluster"
        return Finding("rights", "note", f"this user may not, in any namespace: {', '.join(missing)}", remedy)
    return Finding("rights", "ok", "this user may create what the stack is made of")


def _storage(there: Cluster, wanted: object) -> Finding:
    classes = {
        str(item["metadata"]["name"]): (item["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true"
        for item in there.items("/apis/storage.k8s.io/v1/storageclasses")
    }
    known = ", ".join(sorted(classes)) or "it has none"
    if wanted:
        if wanted in classes:
            return Finding("storage class", "ok", str(wanted))
        seen = f"{wanted} is not among the cluster's ({known})"
        return Finding("storage class", "BAD", seen, "Set another: make set KEY=ci:registry.storageClass")
    default = [name for name, is_default in classes.items() if is_default]
    if default:
        return Finding("storage class", "ok", f"{default[0]}, the cluster's default")
    return Finding(
        "storage class", "BAD", f"the cluster has no default one ({known})", "make set KEY=ci:registry.storageClass"
    )


def _policies(there: Cluster) -> Finding:
    """Whether NetworkPolicies hold. The API takes them in any case, and says nothing about it."""
    name = "NetworkPolicies"
    try:
        sets = {str(item["metadata"]["name"]) for item in there.items("/apis/apps/v1/daemonsets")}
    except ApiError as error:
        if error.status != http.client.FORBIDDEN:
            raise
        return Finding(name, "note", "whether they are enforced is not known: this user may not look at DaemonSets")
    enforcing = sorted({ENFORCERS[each] for each in sets & ENFORCERS.keys()})
    if enforcing:
        return Finding(name, "ok", f"enforced by {', '.join(enforcing)}")
    ignoring = sorted({IGNORERS[each] for each in sets & IGNORERS.keys()})
    if ignoring:
        return Finding(
            name, "note", f"not enforced by {ignoring[0]}: builds reach everything", "Add an enforcer, such as Calico"
        )
    if there.place.lab:
        return Finding(name, "ok", "enforced by the lab itself")
    remedy = (
        "No enforcer that is known here runs in it. Ask whoever looks after the cluster; without one they do nothing"
    )
    return Finding(name, "note", "whether they are enforced is not known", remedy)
