"""A whole stack of Kubernetes objects, from the first update to the end of it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from tests.parity.kubernetes_support import Cluster, ClusterStack, entry, job, manifest, pod_spec

if TYPE_CHECKING:
    from tests.parity.support import Entry, Plugins

CANARY = "canary-5b1e7a60"
SERVER = "mkdir -p /w; exec httpd -f -p 8080 -h /w"


def _stack(namespace: str, image: str, **changes: Any) -> list[Entry]:
    labels = {"app": "server"}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}}
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    container = {
        "envFrom": [{"secretRef": {"name": {"$ref": ["secret", "metadata", "name"]}}}],
        "env": [{"name": "CHANGED", "value": changes.get("env", "1")}],
        "volumeMounts": [{"name": "data", "mountPath": "/data", "readOnly": False}],
        "resources": {"requests": {"cpu": "1m"}, "limits": {"memory": "65536Ki"}},
    }
    server = {**pod_spec(image, "sh", "-c", SERVER, **container), "volumes": [volume]}
    deployment = {
        "selector": {"matchLabels": labels},
        "strategy": {"type": "Recreate"},
        "template": {"metadata": {"labels": labels}, "spec": server},
    }
    pods = {"metadata": {"labels": {"app": "set"}}, "spec": pod_spec(image, "sleep", "600")}
    stateful = {"serviceName": "set", "selector": {"matchLabels": {"app": "set"}}, "template": pods}
    headless = {"clusterIP": "None", "selector": {"app": "set"}}
    quiet = {"annotations": {"pulumi.com/skipAwait": "true"}}
    web = {"selector": labels, "ports": [{"port": 80}]}
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace}}
    settings["data"] = {"a": changes.get("data", "1")}
    return [
        entry("settings", settings),
        entry("secret", manifest("v1", "Secret", "secret", namespace, stringData={"TOKEN": {"$secret": CANARY}})),
        entry("quota", manifest("v1", "ResourceQuota", "quota", namespace, spec={"hard": {"pods": "20"}})),
        entry("claim", manifest("v1", "PersistentVolumeClaim", "data", namespace, spec=claim)),
        entry("server", manifest("apps/v1", "Deployment", "server", namespace, spec=deployment), depends_on=["claim"]),
        entry("web", manifest("v1", "Service", "web", namespace, metadata=quiet, spec=web)),
        entry("set", manifest("apps/v1", "StatefulSet", "set", namespace, spec=stateful)),
        entry("headless", manifest("v1", "Service", "set", namespace, spec=headless)),
        entry("build", job("build", namespace, image, "echo -n sha256:abc > /dev/termination-log")),
    ]


@pytest.fixture(scope="module")
def deployed(shared_cluster_stack: ClusterStack, cluster: Cluster, module_namespace: str) -> ClusterStack:
    """The stack, after its first update."""
    shared_cluster_stack.declare(*_stack(module_namespace, cluster.image))
    shared_cluster_stack.up().ok()
    return shared_cluster_stack


def test_a_second_update_and_a_refresh_change_nothing(deployed: ClusterStack) -> None:
    assert deployed.changes() == {}
    assert deployed.changes("--refresh") == {}
    deployed.run("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    assert deployed.changes() == {}


def test_an_update_ends_when_what_it_made_works(
    deployed: ClusterStack, cluster: Cluster, module_namespace: str
) -> None:
    state = deployed.resources()
    assert state["build"]["outputs"]["status"]["succeeded"] == 1
    assert state["server"]["outputs"]["status"]["readyReplicas"] == 1
    assert state["set"]["outputs"]["status"]["readyReplicas"] == 1
    claim = cluster.get("v1", "PersistentVolumeClaim", "data", module_namespace)
    assert claim is not None
    assert claim["status"]["phase"] == "Bound"


def test_ids_and_names_are_those_of_the_official_plugin(deployed: ClusterStack, module_namespace: str) -> None:
    state = deployed.resources()
    assert state["server"]["id"] == f"{module_namespace}/server"
    made_up = state["settings"]["inputs"]["metadata"]
    assert made_up["annotations"] == {"pulumi.com/autonamed": "true"}
    prefix, _, end = made_up["name"].rpartition("-")
    assert prefix == "settings"
    assert len(end) == 8
    assert int(end, 16) >= 0


def test_a_secret_is_in_the_state_in_cipher_only(deployed: ClusterStack) -> None:
    deployed.run("refresh", "--yes", "--skip-preview").ok()
    state = "".join(path.read_text() for path in deployed.folder.glob("state/.pulumi/**/*.json*"))
    assert state
    assert CANARY not in state
    assert base64.b64encode(CANARY.encode()).decode() not in state
    assert CANARY not in deployed.exported()


def test_a_changed_environment_rolls_out_and_changed_data_replaces(
    deployed: ClusterStack, cluster: Cluster, module_namespace: str
) -> None:
    deployed.declare(*_stack(module_namespace, cluster.image, env="2", data="2"))
    assert deployed.changes() == {"server": "update", "settings": "replace"}
    deployed.up().ok()
    assert deployed.changes() == {}
    pods = cluster.resource("v1", "Pod").get(namespace=module_namespace, label_selector="app=server").to_dict()["items"]
    values = [pod["spec"]["containers"][0]["env"][0]["value"] for pod in pods if pod["status"]["phase"] == "Running"]
    assert values == ["2"]


def test_only_a_refresh_sees_drift_and_an_update_heals_it(
    deployed: ClusterStack, cluster: Cluster, module_namespace: str
) -> None:
    before = cluster.get("apps/v1", "Deployment", "server", module_namespace)
    assert before is not None
    template = before["spec"]["template"]["spec"]
    template["containers"][0]["env"][0]["value"] = "drift"
    cluster.patch("apps/v1", "Deployment", "server", module_namespace, {"spec": {"template": {"spec": template}}})
    cluster.patch("v1", "ResourceQuota", "quota", module_namespace, {"metadata": {"labels": {"not": "ours"}}})
    assert deployed.changes() == {}
    # The field is another manager's now, and is taken back only by force.
    assert "server-side apply field conflict" in deployed.run("preview", "--refresh").failed().output
    deployed.settings = {"enable_patch_force": True}
    deployed.declare(*_stack(module_namespace, cluster.image, env="2", data="2"))
    assert deployed.changes("--refresh") == {"server": "update", "cluster": "update"}
    deployed.up("--refresh").ok()
    after = cluster.get("apps/v1", "Deployment", "server", module_namespace)
    assert after is not None
    assert after["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] == "2"
    assert deployed.changes("--refresh") == {}


def test_what_was_removed_is_made_again_after_a_refresh(
    deployed: ClusterStack, cluster: Cluster, module_namespace: str
) -> None:
    cluster.resource("v1", "Service").delete(name="web", namespace=module_namespace)
    assert deployed.changes("--refresh") == {"web": "create"}
    deployed.up("--refresh").ok()
    assert cluster.get("v1", "Service", "web", module_namespace) is not None


def test_a_stack_moves_from_one_plugin_to_the_other_and_back_unchanged(
    deployed: ClusterStack, other_plugins: Plugins
) -> None:
    other = deployed.with_plugins(other_plugins)
    assert other.changes() == {}
    assert other.changes("--refresh") == {}
    other.run("refresh", "--yes", "--skip-preview").ok()
    assert deployed.changes() == {}
    assert deployed.changes("--refresh") == {}


def test_the_end_leaves_nothing(deployed: ClusterStack, cluster: Cluster, module_namespace: str) -> None:
    deployed.run("destroy", "--yes", "--skip-preview").ok()
    left = [("apps/v1", "Deployment"), ("v1", "Pod"), ("batch/v1", "Job"), ("v1", "Secret")]
    for version, kind in left:
        found = cluster.resource(version, kind).get(namespace=module_namespace).to_dict()["items"]
        assert [item["metadata"]["name"] for item in found] == []
    assert cluster.get("v1", "PersistentVolumeClaim", "data", module_namespace) is None


def test_a_custom_resource_is_made_with_its_definition_in_one_update(
    cluster_stack: ClusterStack, cluster: Cluster, namespace: str
) -> None:
    group = f"{namespace}.example.test"
    names = {"kind": "Thing", "plural": "things", "singular": "thing"}
    spec = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    versions = [{"name": "v1", "served": True, "storage": True, "schema": schema}]
    definition = manifest(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        f"things.{group}",
        spec={"group": group, "names": names, "scope": "Namespaced", "versions": versions},
    )

    def declare(size: int) -> None:
        thing = manifest(f"{group}/v1", "Thing", "one", namespace, spec={"size": size})
        cluster_stack.declare(entry("definition", definition), entry("thing", thing, depends_on=["definition"]))

    declare(1)
    assert cluster_stack.changes() == {"cluster": "create", "definition": "create", "thing": "create"}
    cluster_stack.up().ok()
    assert cluster_stack.changes("--refresh") == {}
    declare(2)
    assert cluster_stack.changes() == {"thing": "update"}
    cluster_stack.up().ok()
    cluster_stack.run("destroy", "--yes", "--skip-preview").ok()


def test_an_object_is_imported_by_its_id(cluster_stack: ClusterStack, cluster: Cluster, namespace: str) -> None:
    body = {"metadata": {"name": "found"}, "data": {"a": "1"}}
    cluster.resource("v1", "ConfigMap").create(namespace=namespace, body=body)
    wanted = manifest("v1", "ConfigMap", "found", namespace, data={"a": "1"})
    cluster_stack.declare(entry("found", wanted, import_=f"{namespace}/found"))
    cluster_stack.up().ok()
    cluster_stack.declare(entry("found", wanted))
    assert cluster_stack.changes("--refresh") == {}
    assert cluster_stack.resources()["found"]["id"] == f"{namespace}/found"
