"""What a cluster has before anybody deploys to it: a cluster DNS and a default StorageClass that makes volumes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lab import configs, layout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lab.layout import Layout

STORAGE_NAMESPACE = "local-path-storage"
STORAGE_CLASS = "local-path"
PROVISIONER = "rancher.io/local-path"
Manifest = dict[str, Any]


def all_of(lab: Layout, coredns: str, busybox: str) -> str:
    """Every object, as one JSON document for `kubectl apply`.

    Args:
        lab: whose cluster it is.
        coredns: the DNS server's image.
        busybox: the image in which a volume's folder is made and removed.
    """
    items = [*dns(lab, coredns), *storage(lab, busybox)]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def dns(lab: Layout, image: str) -> list[Manifest]:
    """CoreDNS, named and labelled as every cluster has it, so that a NetworkPolicy can name it."""
    labels = {"k8s-app": "kube-dns"}
    name = {"namespace": "kube-system", "name": "coredns"}
    container = {
        "name": "coredns",
        "image": image,
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [
            {"name": "dns", "containerPort": 53, "protocol": "UDP"},
            {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
        ],
        "resources": {"requests": {"cpu": "50m", "memory": "30Mi"}, "limits": {"memory": "170Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "initialDelaySeconds": 30},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
    }
    pod = {
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    }
    rules = [
        {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    service = {
        "selector": labels,
        "clusterIP": str(layout.DNS),
        "ports": [
            {"name": "dns", "port": 53, "protocol": "UDP"},
            {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
        ],
    }
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": name},
        *_bound("system:coredns", "ClusterRole", rules, name),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": name, "data": {"Corefile": configs.corefile(lab)}},
        _deployment({**name, "labels": labels}, labels, pod),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"namespace": "kube-system", "name": "kube-dns", "labels": labels},
            "spec": service,
        },
    ]


def storage(lab: Layout, busybox: str) -> list[Manifest]:
    """The default StorageClass and what its provisioner reads. The provisioner itself is a process on the node."""
    name = {"namespace": STORAGE_NAMESPACE, "name": STORAGE_CLASS}
    helper = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "helper-pod"},
        "spec": {"containers": [{"name": "helper-pod", "image": busybox, "imagePullPolicy": "Never"}]},
    }
    data = {
        "config.json": storage_config(lab.data / "volumes"),
        "setup": '#!/bin/sh\nset -eu\nmkdir -m 0777 -p "$VOL_DIR"\n',
        "teardown": '#!/bin/sh\nset -eu\nrm -rf "$VOL_DIR"\n',
        "helperPod.yaml": json.dumps(helper),
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": STORAGE_NAMESPACE}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": name, "automountServiceAccountToken": False},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": name, "data": data},
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": STORAGE_CLASS,
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": PROVISIONER,
            "volumeBindingMode": "WaitForFirstConsumer",
            "reclaimPolicy": "Delete",
        },
    ]


def storage_config(volumes: Path) -> str:
    """The provisioner's configuration: the folder in which every volume is a folder."""
    return json.dumps({"nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [str(volumes)]}]})


def _bound(name: str, kind: str, rules: list[Manifest], account: Mapping[str, str]) -> list[Manifest]:
    api = "rbac.authorization.k8s.io"
    reference = {"apiGroup": api, "kind": kind, "name": name}
    subject = {"kind": "ServiceAccount", **account}
    return [
        {"apiVersion": f"{api}/v1", "kind": kind, "metadata": {"name": name}, "rules": rules},
        {
            "apiVersion": f"{api}/v1",
            "kind": f"{kind}Binding",
            "metadata": {"name": name},
            "roleRef": reference,
            "subjects": [subject],
        },
    ]


def _deployment(metadata: Mapping[str, Any], labels: Mapping[str, str], pod: Mapping[str, Any]) -> Manifest:
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
