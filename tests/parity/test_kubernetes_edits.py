"""Each edit of a Kubernetes object does what it does with the official plugin: replace, update, or nothing.

All edits are previewed in one run: one resource per edit.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from tests.parity.kubernetes_support import SKIP_AWAIT, Cluster, ClusterStack, Manifest, entry, manifest, pod_spec

if TYPE_CHECKING:
    from tests.parity.support import Entry

Change = dict[str, Any]
# What a change removes.
GONE = object()


def _template(**pod: Any) -> Manifest:
    return {"metadata": {"labels": {"app": "x"}}, "spec": {**pod_spec("none:1", "true"), **pod}}


def _container(**fields: Any) -> list[Manifest]:
    return [{"name": "main", "image": "none:1", "imagePullPolicy": "IfNotPresent", "command": ["true"], **fields}]


_SELECTOR = {"matchLabels": {"app": "x"}}
_JOB: Manifest = {"suspend": True, "template": {"spec": {"restartPolicy": "Never", "containers": _container()}}}
_RULES = [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get"]}]
_CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}}
_PATHS = [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "x", "port": {"number": 80}}}}]
# kind: (apiVersion, what it has besides metadata)
BASES: dict[str, tuple[str, Manifest]] = {
    "ConfigMap": ("v1", {"data": {"a": "1"}}),
    "Secret": ("v1", {"stringData": {"a": "1"}}),
    "ServiceAccount": ("v1", {}),
    "LimitRange": ("v1", {"spec": {"limits": [{"type": "Container", "default": {"cpu": "500m", "memory": "1Gi"}}]}}),
    "ResourceQuota": ("v1", {"spec": {"hard": {"requests.cpu": "1k", "pods": "1k"}}}),
    "Service": ("v1", {"spec": {"selector": {"app": "x"}, "ports": [{"port": 80}]}}),
    "PersistentVolumeClaim": ("v1", {"spec": _CLAIM}),
    "Pod": ("v1", {"spec": {"nodeSelector": {"no": "node"}, "containers": _container()}}),
    "Deployment": ("apps/v1", {"spec": {"replicas": 0, "selector": _SELECTOR, "template": _template()}}),
    "StatefulSet": (
        "apps/v1",
        {"spec": {"replicas": 0, "serviceName": "x", "selector": _SELECTOR, "template": _template()}},
    ),
    "Job": ("batch/v1", {"spec": _JOB}),
    "CronJob": ("batch/v1", {"spec": {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {"spec": _JOB}}}),
    "NetworkPolicy": ("networking.k8s.io/v1", {"spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}),
    "Ingress": ("networking.k8s.io/v1", {"spec": {"rules": [{"host": "a.test", "http": {"paths": _PATHS}}]}}),
    "Role": ("rbac.authorization.k8s.io/v1", {"rules": _RULES}),
    "RoleBinding": (
        "rbac.authorization.k8s.io/v1",
        {
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "x"},
            "subjects": [{"kind": "ServiceAccount", "name": "x"}],
        },
    ),
}

# (kind, name of the edit, the fields that change by their path, what happens)
EDITS: list[tuple[str, str, Change, str]] = [
    *((kind, "nothing", {}, "same") for kind in BASES),
    *((kind, "label", {"metadata.labels": {"a": "b"}}, "update") for kind in BASES),
    *((kind, "name", {"metadata.name": "other"}, "replace") for kind in BASES),
    ("ConfigMap", "data", {"data.a": "2"}, "replace"),
    ("ConfigMap", "data-added", {"data.b": "2"}, "replace"),
    ("ConfigMap", "data-removed", {"data": GONE}, "replace"),
    ("ConfigMap", "empty-binary", {"binaryData": {}}, "same"),
    ("ConfigMap", "immutable", {"immutable": True}, "update"),
    ("ConfigMap", "immutable-false", {"immutable": False}, "update"),
    ("Secret", "data", {"stringData.a": "2"}, "replace"),
    ("Secret", "data-spelled-otherwise", {"stringData": GONE, "data": {"a": "MQ=="}}, "same"),
    ("Secret", "data-with-a-line-break", {"stringData": GONE, "data": {"a": "MQ==\n"}}, "same"),
    ("Secret", "type", {"type": "example.test/other"}, "replace"),
    ("Secret", "type-default", {"type": "Opaque"}, "replace"),
    ("ServiceAccount", "no-token", {"automountServiceAccountToken": False}, "update"),
    ("ServiceAccount", "pull-secret", {"imagePullSecrets": [{"name": "x"}]}, "update"),
    ("ServiceAccount", "no-pull-secrets", {"imagePullSecrets": []}, "same"),
    ("LimitRange", "limit", {"spec.limits.0.default.cpu": "600m"}, "update"),
    ("LimitRange", "limit-spelled-otherwise", {"spec.limits.0.default": {"cpu": 0.5, "memory": "1024Mi"}}, "same"),
    ("ResourceQuota", "hard", {"spec.hard.pods": "50"}, "update"),
    ("ResourceQuota", "hard-spelled-otherwise", {"spec.hard": {"requests.cpu": "1000", "pods": 1000}}, "same"),
    ("ResourceQuota", "scopes", {"spec.scopes": ["NotTerminating"]}, "replace"),
    ("Service", "target-port", {"spec.ports.0.targetPort": 81}, "update"),
    ("Service", "node-port", {"spec.type": "NodePort"}, "update"),
    ("Service", "headless", {"spec.clusterIP": "None"}, "replace"),
    ("Service", "selector", {"spec.selector": {"app": "y"}}, "update"),
    ("Service", "port-name-empty", {"spec.ports.0.name": ""}, "same"),
    ("PersistentVolumeClaim", "storage-spelled-otherwise", {"spec.resources.requests.storage": "10240Ki"}, "same"),
    ("PersistentVolumeClaim", "class", {"spec.storageClassName": "other"}, "replace"),
    ("PersistentVolumeClaim", "modes", {"spec.accessModes": ["ReadWriteMany"]}, "replace"),
    ("Pod", "image", {"spec.containers.0.image": "none:2"}, "replace"),
    ("Pod", "env", {"spec.containers.0.env": [{"name": "A", "value": "1"}]}, "replace"),
    ("Pod", "tty-false", {"spec.containers.0.tty": False}, "same"),
    ("Pod", "node", {"spec.nodeSelector": {"no": "other"}}, "replace"),
    ("Pod", "deadline", {"spec.activeDeadlineSeconds": 60}, "update"),
    ("Deployment", "replicas", {"spec.replicas": 1}, "update"),
    ("Deployment", "image", {"spec.template.spec.containers.0.image": "none:2"}, "update"),
    ("Deployment", "strategy", {"spec.strategy": {"rollingUpdate": {"maxSurge": 1}}}, "update"),
    (
        "Deployment",
        "selector",
        {"spec.selector.matchLabels.b": "c", "spec.template.metadata.labels.b": "c"},
        "replace",
    ),
    ("Deployment", "host-network-false", {"spec.template.spec.hostNetwork": False}, "same"),
    ("Deployment", "empty-volumes", {"spec.template.spec.volumes": []}, "same"),
    ("Deployment", "empty-env-value", {"spec.template.spec.containers.0.env": [{"name": "A", "value": ""}]}, "update"),
    (
        "Deployment",
        "run-as-non-root-false",
        {"spec.template.spec.securityContext": {"runAsNonRoot": False}},
        "update",
    ),
    ("Deployment", "paused-false", {"spec.paused": False}, "same"),
    ("Deployment", "min-ready-zero", {"spec.minReadySeconds": 0}, "same"),
    ("Deployment", "empty-security-context", {"spec.template.spec.securityContext": {}}, "update"),
    ("StatefulSet", "replicas", {"spec.replicas": 1}, "update"),
    ("StatefulSet", "image", {"spec.template.spec.containers.0.image": "none:2"}, "update"),
    ("StatefulSet", "service", {"spec.serviceName": "y"}, "replace"),
    ("StatefulSet", "management", {"spec.podManagementPolicy": "Parallel"}, "replace"),
    ("StatefulSet", "claims", {"spec.volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": _CLAIM}]}, "replace"),
    ("Job", "image", {"spec.template.spec.containers.0.image": "none:2"}, "replace"),
    ("Job", "template-label", {"spec.template.metadata": {"labels": {"a": "b"}}}, "replace"),
    ("Job", "empty-env-value", {"spec.template.spec.containers.0.env": []}, "same"),
    ("Job", "backoff", {"spec.backoffLimit": 1}, "update"),
    ("Job", "deadline", {"spec.activeDeadlineSeconds": 60}, "update"),
    ("Job", "ttl", {"spec.ttlSecondsAfterFinished": 60}, "update"),
    ("Job", "ttl-zero", {"spec.ttlSecondsAfterFinished": 0}, "update"),
    ("Job", "completions", {"spec.completions": 2}, "replace"),
    ("Job", "parallelism", {"spec.parallelism": 2}, "replace"),
    ("CronJob", "schedule", {"spec.schedule": "0 0 2 1 *"}, "update"),
    ("CronJob", "job", {"spec.jobTemplate.spec.template.spec.containers.0.image": "none:2"}, "update"),
    ("CronJob", "history-zero", {"spec.successfulJobsHistoryLimit": 0}, "update"),
    ("NetworkPolicy", "no-ingress", {"spec.ingress": []}, "same"),
    ("NetworkPolicy", "ingress", {"spec.ingress": [{"from": [{"podSelector": {}}]}]}, "update"),
    ("NetworkPolicy", "any-ingress", {"spec.ingress": [{}]}, "update"),
    ("NetworkPolicy", "types", {"spec.policyTypes": ["Ingress", "Egress"]}, "update"),
    ("Ingress", "host", {"spec.rules.0.host": "b.test"}, "update"),
    ("Role", "rules", {"rules.0.verbs": ["get", "list"]}, "update"),
    ("RoleBinding", "subjects", {"subjects.0.name": "y"}, "update"),
    ("RoleBinding", "role", {"roleRef.name": "y"}, "replace"),
]
EXPECTED = {f"{kind}-{name}": op for kind, name, _, op in EDITS}


def _edited(base: Manifest, changes: Change) -> Manifest:
    edited = copy.deepcopy(base)
    for path, value in changes.items():
        *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        target: Any = edited
        for step in steps:
            target = target[step] if isinstance(step, int) else target.setdefault(step, {})
        if value is GONE:
            del target[last]
        else:
            target[last] = copy.deepcopy(value)
    return edited


def _entries(namespace: str, *, after: bool) -> list[Entry]:
    found = []
    for kind, edit, changes, _ in EDITS:
        name = f"{kind}-{edit}"
        version, parts = BASES[kind]
        object_name = f"{kind}-{edit}".lower()
        base = manifest(version, kind, object_name, namespace, metadata={"annotations": SKIP_AWAIT}, **parts)
        renamed = {path: f"{object_name}-other" if path == "metadata.name" else to for path, to in changes.items()}
        found.append(entry(name, _edited(base, renamed) if after else base))
    return found


@pytest.fixture(scope="module")
def edited(shared_cluster_stack: ClusterStack, module_namespace: str) -> dict[str, str]:
    """What a preview says to each edit that changes something."""
    stack = shared_cluster_stack
    stack.declare(*_entries(module_namespace, after=False))
    stack.up().ok()
    assert stack.changes() == {}
    assert stack.changes("--refresh") == {}
    stack.declare(*_entries(module_namespace, after=True))
    return stack.changes()


@pytest.mark.parametrize("name", EXPECTED)
def test_an_edit_does_what_the_official_plugin_does(edited: dict[str, str], name: str) -> None:
    assert edited.get(name, "same") == EXPECTED[name]


def test_the_provider_itself_is_unchanged(edited: dict[str, str]) -> None:
    assert "cluster" not in edited


def test_mutable_config_maps_and_secrets_change_in_place(
    cluster_stack: ClusterStack, cluster: Cluster, namespace: str
) -> None:
    def declare(value: str) -> None:
        metadata = {"annotations": SKIP_AWAIT}
        cluster_stack.declare(
            entry("map", manifest("v1", "ConfigMap", "map", namespace, metadata=metadata, data={"a": value})),
            entry("secret", manifest("v1", "Secret", "secret", namespace, metadata=metadata, stringData={"a": value})),
        )

    cluster_stack.settings = {"enable_config_map_mutable": True, "enable_secret_mutable": True}
    declare("1")
    cluster_stack.up().ok()
    before = cluster.get("v1", "ConfigMap", "map", namespace)
    declare("2")
    assert cluster_stack.changes() == {"map": "update", "secret": "update"}
    cluster_stack.up().ok()
    after = cluster.get("v1", "ConfigMap", "map", namespace)
    assert before is not None
    assert after is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["data"] == {"a": "2"}
