"""What `doctor` says of a cluster beside what the program itself would refuse. Changes nothing there."""

import http
from collections.abc import Iterator
from typing import Literal

from kubernetes import client

from components.kubernetes.cluster import named
from ops import cluster
from ops.finding import Finding
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


def examine(stack: Stack) -> Iterator[Finding]:
    """Find which cluster it is, and whether NetworkPolicies hold. The API takes them in any case, and says nothing."""
    cluster.require(stack)
    with cluster.asked():
        api = cluster.reader(stack).client
        version, wanted = client.VersionApi(api).get_code().git_version, stack.settings.kubernetes
        yield Finding("cluster", f"{version} at {api.configuration.host}, {named(wanted)}")
        is_lab = cluster.is_lab(stack)
        yield Finding("NetworkPolicies", *(("enforced by the lab itself",) if is_lab else _policies(api)))


def _policies(api: client.ApiClient) -> tuple[str, Literal["ok", "note"], str]:
    unknown = "whether they are enforced is not known"
    try:
        listed = client.AppsV1Api(api).list_daemon_set_for_all_namespaces()
    except client.ApiException as error:
        if error.status != http.HTTPStatus.FORBIDDEN:
            raise
        return f"{unknown}: this user may not look at DaemonSets", "note", ""
    sets = {each.metadata.name for each in listed.items}
    enforcing = sorted({ENFORCERS[each] for each in sets & ENFORCERS.keys()})
    if enforcing:
        return f"enforced by {', '.join(enforcing)}", "ok", ""
    if any(each.startswith("kube-flannel") for each in sets):
        return "not enforced by Flannel: builds reach everything", "note", "Add an enforcer, such as Calico"
    return unknown, "note", "No enforcer that is known here runs in it; without one they do nothing"
