"""What goes wrong with Kubernetes objects is told as the official plugin tells it, and what exists is kept."""

from __future__ import annotations

import re
import signal
import time
from typing import TYPE_CHECKING, Any

from tests.parity.kubernetes_support import Cluster, ClusterStack, entry, job, manifest, pod_spec

if TYPE_CHECKING:
    import pytest

FAILING = "echo the last words; exit 3"


def _uid(cluster: Cluster, name: str, namespace: str) -> Any:
    found = cluster.get("batch/v1", "Job", name, namespace)
    return found and found["metadata"]["uid"]


def test_a_failed_job_shows_its_last_words_and_stays_failed(
    cluster_stack: ClusterStack, cluster: Cluster, namespace: str
) -> None:
    cluster_stack.declare(entry("bad", job("bad", namespace, cluster.image, FAILING)))
    first = cluster_stack.up().failed()
    assert "[BackoffLimitExceeded] Job has reached the specified backoff limit" in first.output
    assert "the last words" in first.output
    uid = _uid(cluster, "bad", namespace)
    again = cluster_stack.up().failed()
    assert "[BackoffLimitExceeded]" in again.output
    refreshed = cluster_stack.up("--refresh").failed()
    assert "[BackoffLimitExceeded]" in refreshed.output
    assert _uid(cluster, "bad", namespace) == uid, "it was made anew"


def test_a_failed_job_that_says_so_is_made_anew_and_alone(
    cluster_stack: ClusterStack, cluster: Cluster, namespace: str
) -> None:
    good = entry("good", job("good", namespace, cluster.image, "true", replaceUnready="true"))
    cluster_stack.declare(
        good, entry("bad", job("bad", namespace, cluster.image, FAILING, replaceUnready="true"), depends_on=["good"])
    )
    cluster_stack.up().failed()
    first = _uid(cluster, "bad", namespace)
    assert cluster_stack.changes() == {"bad": "replace"}
    cluster_stack.up().failed()
    assert _uid(cluster, "bad", namespace) != first
    cluster_stack.declare(
        good, entry("bad", job("bad", namespace, cluster.image, "true", replaceUnready="true"), depends_on=["good"])
    )
    cluster_stack.up().ok()
    assert cluster_stack.changes("--refresh") == {}


def test_a_cancelled_wait_ends_at_once_and_keeps_what_was_made(
    cluster_stack: ClusterStack, cluster: Cluster, namespace: str
) -> None:
    cluster_stack.declare(entry("slow", job("slow", namespace, cluster.image, "sleep 600")))
    cluster_stack.run("preview").ok()
    process = cluster_stack.start(*cluster_stack.run_in("up", "--yes", "--skip-preview"))
    deadline = time.monotonic() + 60
    while not ((found := cluster.get("batch/v1", "Job", "slow", namespace)) and found["status"].get("active")):
        assert time.monotonic() < deadline, "the Job was not made"
        time.sleep(0.2)
    cancelled = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert time.monotonic() - cancelled < 10
    assert process.returncode != 0
    assert 'Resource operation was cancelled for "slow"' in output
    assert cluster_stack.resources()["slow"]["initErrors"]


def test_a_deployment_without_its_image_fails_when_its_time_is_up(
    cluster_stack: ClusterStack, cluster: Cluster, namespace: str
) -> None:
    def declare(image: str, replicas: int = 1) -> None:
        template = {"metadata": {"labels": {"a": "b"}}, "spec": pod_spec(image, "sleep", "600")}
        spec = {
            "replicas": replicas,
            "selector": {"matchLabels": {"a": "b"}},
            "strategy": {"type": "Recreate"},
            "template": template,
        }
        wanted = manifest("apps/v1", "Deployment", "server", namespace, spec=spec)
        cluster_stack.declare(entry("server", wanted, custom_timeouts={"create": "20s", "update": "20s"}))

    declare(cluster.image)
    cluster_stack.up().ok()
    declare("ci-lab/there-is-none:1", replicas=2)
    failed = cluster_stack.up().failed()
    assert "'server' timed out waiting to be Ready" in failed.output
    assert "Minimum number of live Pods was not attained" in failed.output
    assert re.search(r"\[(ErrImagePull|ImagePullBackOff)\]", failed.output)
    declare(cluster.image)
    cluster_stack.up().ok()
    assert cluster_stack.changes("--refresh") == {}


def test_what_the_server_finds_wrong_is_told_at_the_preview(cluster_stack: ClusterStack, namespace: str) -> None:
    wrong = manifest("v1", "ConfigMap", "Not_A_Name", namespace, data={"a": "1"})
    cluster_stack.declare(entry("wrong", wrong))
    failed = cluster_stack.run("preview").failed()
    assert "Not_A_Name" in failed.output
    assert "lowercase RFC 1123 subdomain" in failed.output


def test_an_object_that_is_there_already_is_not_taken_over(
    cluster_stack: ClusterStack, cluster: Cluster, namespace: str
) -> None:
    cluster.resource("v1", "ConfigMap").create(namespace=namespace, body={"metadata": {"name": "theirs"}, "data": {}})
    cluster_stack.declare(entry("theirs", manifest("v1", "ConfigMap", "theirs", namespace, data={"a": "1"})))
    failed = cluster_stack.up().failed()
    assert 'configmaps "theirs" already exists' in failed.output
    assert "pulumi import" in failed.output
    cluster_stack.settings = {"upsert_existing_objects": True}
    cluster_stack.declare(entry("theirs", manifest("v1", "ConfigMap", "theirs", namespace, data={"a": "1"})))
    cluster_stack.up().ok()
    found = cluster.get("v1", "ConfigMap", "theirs", namespace)
    assert found is not None
    assert found["data"] == {"a": "1"}


def test_a_field_of_another_manager_is_a_conflict_unless_it_is_forced(
    cluster_stack: ClusterStack, cluster: Cluster, namespace: str
) -> None:
    def declare(replicas: int, **annotations: str) -> None:
        template = {"metadata": {"labels": {"a": "b"}}, "spec": pod_spec(cluster.image, "sleep", "600")}
        spec = {"replicas": replicas, "selector": {"matchLabels": {"a": "b"}}, "template": template}
        metadata = {"annotations": {"pulumi.com/skipAwait": "true", **annotations}}
        wanted = manifest("apps/v1", "Deployment", "server", namespace, metadata=metadata, spec=spec)
        cluster_stack.declare(entry("server", wanted))

    declare(0)
    cluster_stack.up().ok()
    cluster.patch("apps/v1", "Deployment", "server", namespace, {"spec": {"replicas": 2}})
    declare(1)
    failed = cluster_stack.up().failed()
    assert "server-side apply field conflict detected" in failed.output
    assert ".spec.replicas" in failed.output
    declare(1, **{"pulumi.com/patchForce": "true"})
    cluster_stack.up().ok()
    found = cluster.get("apps/v1", "Deployment", "server", namespace)
    assert found is not None
    assert found["spec"]["replicas"] == 1


def test_a_cluster_that_does_not_answer_fails_the_update_and_not_the_preview(
    cluster_stack: ClusterStack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    unreachable = re.sub(r"server: .*", "server: https://127.0.0.1:1", cluster_stack.kubeconfig.read_text())
    cluster_stack.kubeconfig = tmp_path_factory.mktemp("kubeconfig") / "config"
    cluster_stack.kubeconfig.write_text(unreachable)
    cluster_stack.declare(entry("map", manifest("v1", "ConfigMap", "map", "default")))
    cluster_stack.run("preview").ok()
    failed = cluster_stack.up().failed()
    assert "configured Kubernetes cluster is unreachable" in failed.output
    assert "127.0.0.1:1" in failed.output
    assert "onnection refused" in failed.output


def test_a_kubeconfig_that_is_none_is_told_without_its_text(cluster_stack: ClusterStack) -> None:
    cluster_stack.kubeconfig = cluster_stack.folder / "broken"
    cluster_stack.kubeconfig.write_text("users: [{token: canary-1f2e\n")
    cluster_stack.declare(entry("map", manifest("v1", "ConfigMap", "map", "default")))
    failed = cluster_stack.up().failed()
    assert "failed to parse kubeconfig data" in failed.output
    assert "canary-1f2e" not in failed.output


def test_what_is_not_implemented_is_refused_by_name(
    cluster_stack: ClusterStack, cluster: Cluster, namespace: str
) -> None:
    if not cluster_stack.plugins.bundled:
        return  # the official plugin has them
    patch = {**entry("patch", manifest("v1", "ConfigMap", "map", namespace, data={"a": "1"})), "type": "ConfigMapPatch"}
    cluster_stack.declare(patch)
    failed = cluster_stack.run("preview").failed()
    assert "kubernetes:core/v1:ConfigMapPatch is not implemented by the bundled kubernetes plugin" in failed.output
    unknown = manifest("apps/v1", "Deployment", "typo", namespace, spec={"replica": 1})
    cluster_stack.declare(entry("typo", unknown))
    failed = cluster_stack.run("preview").failed()
    assert 'unknown field "spec.replica"' in failed.output
    cluster_stack.settings = {"render_yaml_to_directory": "manifests"}
    cluster_stack.declare()
    failed = cluster_stack.run("preview").failed()
    assert "the bundled plugin renders no YAML" in failed.output
