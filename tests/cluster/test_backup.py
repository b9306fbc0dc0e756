"""`backup` and `restore` on a real cluster: a registry's images go to namespaces that lack them, also after kills."""

from __future__ import annotations

import contextlib
import random
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml
from kubernetes import client

from tests.support.cluster import execute, inline
from tests.support.verbs import Verbs, copy_project
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.cluster import Cluster

NAMESPACE = f"backup-{random.randrange(16**4):04x}"
BUILDS = f"{NAMESPACE}-builds"
PORT = random.randrange(31000, 32700)
HELPER, SERVER = "registry-backup", "registry-server-0"
NOISE = "head -c 100000000 /dev/urandom > /var/lib/registry/noise"
HASHES = "cd /var/lib/registry && find docker noise -type f -exec sha256sum {} + | sort"


@pytest.fixture(scope="module")
def verbs(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verbs]:
    """A stack that is up, with one image."""
    made = Verbs(copy_project(tmp_path_factory.mktemp("backup") / "clone"), "lab")
    context = inline("FROM busybox:1\nRUN head -c 1000 /dev/urandom > /noise\n")
    config = {
        "ci:platform": "kubernetes",
        "ci:kubernetes": {**cluster.kubernetes, "kubeconfig": str(cluster.kubeconfig), "namespace": NAMESPACE},
        "ci:registry": {**cluster.registry, "storageGib": 1, "plainHttp": True, "nodePort": PORT},
        "ci:builds": [{"name": "hello", "context": context, "cache": {"enabled": False}}],
    }
    (made.root / "stacks/Pulumi.lab.yaml").write_text(yaml.safe_dump({"config": config}))
    yield made
    made.run("recover")
    made.run("down")
    remove_namespaces(cluster)


def remove_namespaces(cluster: Cluster) -> None:
    for name in (NAMESPACE, BUILDS):
        with contextlib.suppress(client.ApiException):
            client.CoreV1Api(cluster.api).delete_namespace(name)


def lose_cluster(cluster: Cluster) -> None:
    core = client.CoreV1Api(cluster.api)
    remove_namespaces(cluster)
    eventually(
        lambda: not {NAMESPACE, BUILDS} & {each.metadata.name for each in core.list_namespace().items}, seconds=90
    )


def pod(cluster: Cluster, name: str, kind: str) -> bool:
    """Whether a pod of the registry's namespace has a condition."""
    pods: Any = client.CoreV1Api(cluster.api).list_namespaced_pod(NAMESPACE)
    found = [each for each in pods.items if each.metadata.name == name]
    return bool(found) and any((each.type, each.status) == (kind, "True") for each in found[0].status.conditions or ())


def inside(cluster: Cluster, script: str) -> str:
    eventually(lambda: pod(cluster, SERVER, "Ready"), seconds=60)
    return execute(cluster, SERVER, NAMESPACE, script, container="registry")


def image(said: str) -> str:
    [found] = [line.split()[-1] for line in said.splitlines() if line.startswith("  image hello:")]
    return found


def test_the_images_of_a_lost_cluster_come_back_with_their_digests_and_nothing_is_built_again(
    verbs: Verbs, cluster: Cluster, tmp_path: Path
) -> None:
    file, cut = tmp_path / "ci.zip", tmp_path / "cut.zip"
    core = client.CoreV1Api(cluster.api)
    built = image(verbs.run("up"))
    inside(cluster, NOISE)
    before = inside(cluster, HASHES), verbs.run("password")

    verbs.killed_when(lambda: pod(cluster, HELPER, "Ready"), "backup", "--file", str(file))
    assert not file.exists()
    assert "which a killed backup had stopped" in verbs.run("up")
    assert (inside(cluster, HASHES), pod(cluster, HELPER, "Ready")) == (before[0], False)
    verbs.run("backup", "--file", str(file))
    assert inside(cluster, HASHES) == before[0]
    assert "is not from this archive" in verbs.run("restore", "--file", str(file), status=1)

    lose_cluster(cluster)
    shutil.rmtree(verbs.root / ".local/state")
    cut.write_bytes(file.read_bytes()[:-20_000])
    assert "damaged" in verbs.run("restore", "--file", str(cut), status=1)
    assert NAMESPACE not in {each.metadata.name for each in core.list_namespace().items}

    verbs.killed_when(lambda: pod(cluster, HELPER, "Ready"), "restore", "--file", str(file))
    core.delete_namespaced_pod(HELPER, NAMESPACE, grace_period_seconds=0)  # what somebody does who does not know it
    assert "unfinished restore" in verbs.run("up", status=1)
    assert not pod(cluster, SERVER, "Ready")
    assert image(verbs.run("restore", "--file", str(file))) == built
    assert (inside(cluster, HASHES), verbs.run("password")) == before
    assert core.list_namespaced_pod(BUILDS).items == [], "it was built once more"
    answer = requests.head(
        f"http://{cluster.node}:{PORT}/v2/hello/manifests/{built.rpartition('@')[2]}",
        auth=("ci", before[1].strip()),
        headers={
            "Accept": "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
        },
        timeout=10,
    )
    assert answer.status_code == 200
    again = verbs.run("restore", "--file", str(file))
    assert "stays as it is now" in again
    assert "Nothing changed" in again
