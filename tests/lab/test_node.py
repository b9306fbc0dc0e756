"""The lab as it runs: one real node that does what a cluster does. The first run builds it, which takes ten minutes."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

import lab as lab_package
from lab import cgroups, cluster, health, layout, netns, processes, servers
from lab.lab import Lab
from ops.toolchain import cache
from ops.toolchain.errors import Trouble

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab takes root"),
    pytest.mark.timeout(1800),  # the first run builds it
]
REGISTRY_PORT = 30555
BUILD_CAPABILITIES = ["CHOWN", "SETUID", "SETGID", "FOWNER", "DAC_OVERRIDE"]


@pytest.fixture(scope="module")
def lab() -> Lab:
    """Give the clone's own lab; it stays up afterwards."""
    return lab_package.ensure()


class Kubectl:
    """kubectl in a namespace of a test's own."""

    def __init__(self, lab: Lab, namespace: str) -> None:
        self.lab, self.namespace = lab, namespace

    def __call__(self, *words: str, data: object = None) -> str:
        command = [
            str(self.lab.kubectl),
            "--kubeconfig",
            str(self.lab.kubeconfig),
            "--namespace",
            self.namespace,
            *words,
        ]
        text = None if data is None else json.dumps(data)
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, f"kubectl {words}: {done.stderr}"
        return done.stdout

    def apply(self, *objects: dict[str, Any]) -> None:
        self("apply", "-f", "-", data={"apiVersion": "v1", "kind": "List", "items": list(objects)})

    def ended(self, pod: str) -> str:
        """Wait for a pod's end with success, and return what it wrote."""
        self("wait", f"pod/{pod}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=90s")
        return self("logs", pod)


@pytest.fixture
def kubectl(lab: Lab) -> Iterator[Kubectl]:
    run = Kubectl(lab, f"test-{secrets.token_hex(4)}")
    run("create", "namespace", run.namespace)
    run("label", "namespace", run.namespace, "pod-security.kubernetes.io/enforce=baseline")
    yield run
    run("delete", "namespace", run.namespace, "--wait=false")


def pod(
    name: str, image: str, *command: str, volumes: dict[str, Any] | None = None, **container: Any
) -> dict[str, Any]:
    made = {"name": name, "image": image, "securityContext": {"allowPrivilegeEscalation": False}, **container}
    if command:
        made["command"] = list(command)
    spec = {
        "containers": [made],
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "volumes": [{"name": name, **source} for name, source in (volumes or {}).items()],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}


def service(name: str, port: int, node_port: int = 0) -> dict[str, Any]:
    ports = [{"port": port, **({"nodePort": node_port} if node_port else {})}]
    spec = {"type": "NodePort", "selector": {"app": name}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def web(image: str) -> dict[str, Any]:
    serve = "cd /tmp && echo served >index.html && exec httpd -f -p 8080 -h /tmp"
    return pod("web", image, "sh", "-c", serve, readinessProbe={"httpGet": {"port": 8080}, "periodSeconds": 1})


def answered(url: str, seconds: float = 20) -> str:
    """Ask until there is an answer: kube-proxy learns of a Service a moment after the API server."""
    until = time.monotonic() + seconds
    while True:
        try:
            with requests.Session() as session:
                session.trust_env = False
                return session.get(url, timeout=2).text
        except requests.RequestException:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def test_a_second_up_finds_it_up_and_well_and_starts_nothing(lab: Lab) -> None:
    before = processes.known(lab.layout)
    assert cluster.up(lab.layout) is False
    assert processes.known(lab.layout) == before
    assert health.problems(lab.layout, cluster.EXPECTED) == []


def test_pods_look_up_services_and_the_labs_names_and_are_told_at_once_that_others_are_not(kubectl: Kubectl) -> None:
    script = (
        "nslookup kubernetes.default.svc.cluster.local && nslookup upstream.lab.test && "
        "! timeout 5 nslookup registry.example.com && echo all as expected"
    )
    kubectl.apply(pod("dns", kubectl.lab.images["busybox"], "sh", "-c", script))
    written = kubectl.ended("dns")
    assert "10.96.0.1" in written
    assert kubectl.lab.node_address in written
    assert "NXDOMAIN" in written
    assert "all as expected" in written


def test_a_service_is_reached_from_a_pod_from_this_machine_and_from_the_nodes_own_loopback(kubectl: Kubectl) -> None:
    lab = kubectl.lab
    kubectl.apply(web(lab.images["busybox"]), service("web", 8080))
    kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
    port = kubectl("get", "service", "web", "-o", "jsonpath={.spec.ports[0].nodePort}")
    assert answered(f"http://{lab.node_address}:{port}/") == "served\n"
    assert lab.run("wget", "-qO-", f"http://127.0.0.1:{port}/") == b"served\n"
    kubectl.apply(pod("client", lab.images["busybox"], "wget", "-qO-", "http://web:8080/"))
    assert kubectl.ended("client") == "served\n"


def test_exec_and_port_forward_reach_a_pod(kubectl: Kubectl) -> None:
    kubectl.apply(web(kubectl.lab.images["busybox"]))
    kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
    assert kubectl("exec", "web", "--", "cat", "/tmp/index.html") == "served\n"
    forward = subprocess.Popen(
        [kubectl.lab.kubectl, "--kubeconfig", kubectl.lab.kubeconfig, "-n", kubectl.namespace, "port-forward",
         "pod/web", ":8080"], stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert forward.stdout is not None
        port = forward.stdout.readline().partition("127.0.0.1:")[2].split()[0]
        assert answered(f"http://127.0.0.1:{port}/") == "served\n"
    finally:
        forward.kill()
        forward.communicate()


def test_a_claim_is_given_a_volume_that_any_user_writes_to_and_that_goes_with_it(kubectl: Kubectl) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    mounts = [{"name": "data", "mountPath": "/data"}]
    volumes = {"data": {"persistentVolumeClaim": {"claimName": "data"}}}
    user = {"allowPrivilegeEscalation": False, "runAsUser": 1234}
    image = kubectl.lab.images["busybox"]
    kubectl.apply(
        claim,
        pod("one", image, "sh", "-c", "echo kept >/data/x", volumes=volumes, volumeMounts=mounts, securityContext=user),
    )
    kubectl.ended("one")
    kubectl.apply(pod("two", image, "cat", "/data/x", volumes=volumes, volumeMounts=mounts))
    assert kubectl.ended("two") == "kept\n"
    name = kubectl("get", "pvc", "data", "-o", "jsonpath={.spec.volumeName}")
    folder = kubectl.lab.layout.data / "volumes" / f"{name}_{kubectl.namespace}_data"
    assert (folder / "x").read_text() == "kept\n"
    kubectl("delete", "pod", "--all")
    kubectl("delete", "pvc", "data")
    kubectl("wait", "--for=delete", f"pv/{name}", "--timeout=60s")
    assert not folder.exists()


def test_network_policies_are_enforced(lab: Lab) -> None:
    assert lab.enforces_network_policy()


def test_a_policy_holds_from_a_pods_very_first_packet(kubectl: Kubectl) -> None:
    deny = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"]},
    }
    url = f"http://{kubectl.lab.upstream}/v2/"
    script = f"for i in 1 2 3; do timeout 1 wget -qO- {url} && echo got out; done; echo end"
    kubectl.apply(deny)
    kubectl.apply(*(pod(f"early{n}", kubectl.lab.images["busybox"], "sh", "-c", script) for n in range(5)))
    assert ["got out" in kubectl.ended(f"early{n}") for n in range(5)] == [False] * 5


def test_privileged_pods_are_refused_where_the_namespace_is_labelled_so(kubectl: Kubectl) -> None:
    refused = pod("root", kubectl.lab.images["busybox"], "true", securityContext={"privileged": True})
    with pytest.raises(AssertionError, match="violates PodSecurity"):
        kubectl.apply(refused)


def test_a_pod_that_takes_more_memory_than_it_may_is_killed_for_it(kubectl: Kubectl) -> None:
    hungry = pod(
        "hungry", kubectl.lab.images["busybox"], "sh", "-c", "head -c 200m /dev/zero | tail",
        resources={"limits": {"memory": "32Mi"}},
    )  # fmt: skip
    kubectl.apply(hungry)
    kubectl("wait", "pod/hungry", "--for=jsonpath={.status.phase}=Failed", "--timeout=60s")
    state = kubectl("get", "pod", "hungry", "-o", "jsonpath={.status.containerStatuses[0].state.terminated.reason}")
    assert state == "OOMKilled"


def test_an_image_without_a_registry_in_its_name_comes_from_the_upstream(kubectl: Kubectl) -> None:
    kubectl.apply(pod("pulled", "alpine", "echo", "pulled", imagePullPolicy="Always"))
    assert kubectl.ended("pulled") == "pulled\n"
    kubectl.apply(pod("secure", f"{kubectl.lab.upstream_tls}/library/busybox:1", "echo", "by TLS"))
    assert kubectl.ended("secure") == "by TLS\n"


def test_kaniko_builds_pushes_to_a_registry_and_the_node_runs_what_was_built(kubectl: Kubectl) -> None:
    lab = kubectl.lab
    registry = pod(
        "registry",
        lab.images["registry"],
        readinessProbe={"httpGet": {"path": "/v2/", "port": 5000}, "periodSeconds": 1},
    )
    dockerfile = f"FROM {lab.upstream}/library/alpine:latest\nRUN echo built >/msg\n"
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "context"},
        "data": {"Dockerfile": dockerfile},
    }
    build = pod(
        "build",
        lab.images["kaniko"],
        volumes={"context": {"configMap": {"name": "context"}}},
        args=[
            "--context=dir:///workspace", f"--destination={lab.node_address}:{REGISTRY_PORT}/team/app:1", "--insecure",
            "--insecure-pull", "--digest-file=/dev/termination-log",
        ],
        volumeMounts=[{"name": "context", "mountPath": "/workspace/Dockerfile", "subPath": "Dockerfile"}],
        securityContext={
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"], "add": BUILD_CAPABILITIES},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    )  # fmt: skip
    kubectl.apply(registry, service("registry", 5000, REGISTRY_PORT), config)
    kubectl("wait", "--for=condition=Ready", "pod/registry", "--timeout=60s")
    answered(f"http://{lab.node_address}:{REGISTRY_PORT}/v2/")
    kubectl.apply(build)
    kubectl.ended("build")
    ended = "jsonpath={.status.containerStatuses[0].state.terminated.message}"
    digest = kubectl("get", "pod", "build", "-o", ended)
    lab.trust(f"localhost:{REGISTRY_PORT}")
    kubectl.apply(pod("built", f"localhost:{REGISTRY_PORT}/team/app@{digest}", "cat", "/msg"))
    assert kubectl.ended("built") == "built\n"


def test_a_pod_reaches_a_tests_own_server_by_tls(kubectl: Kubectl, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("served")
    with servers.files(tmp_path, kubectl.lab.host_address) as served:
        kubectl.apply(pod("get", kubectl.lab.images["busybox"], "wget", "-qO-", f"{served.url}/file"))
        assert kubectl.ended("get") == "served"


@pytest.fixture
def another(lab: Lab, tmp_path: Path) -> Iterator[layout.Layout]:
    """Give the layout of a second lab, beside the first, that is gone afterwards."""
    made = layout.at(tmp_path / "second")
    yield made
    cluster.down(made)


def up_by_hand(lab: layout.Layout) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "lab", "up", "--data", str(lab.data)]
    return subprocess.Popen(words, cwd=layout.CLONE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def traces(lab: layout.Layout) -> list[str]:
    """What of a lab is on the machine outside its data."""
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if lab.netns in line]
    groups = [str(tree) for tree in cgroups.hierarchies() if (tree / lab.cgroup).exists()]
    other = [str(path) for path in (lab.run, Path("/sys/class/net") / lab.veth, lab.data) if path.exists()]
    return [*mounts, *groups, *other, *(["netns"] if netns.exists(lab) else [])]


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_two_that_bring_it_up_at_once_have_one_lab_and_taking_it_down_leaves_nothing(another: layout.Layout) -> None:
    both = [up_by_hand(another) for _ in range(2)]
    said = [each.communicate(timeout=300)[0] for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert sorted("up and well already" in text for text in said) == [False, True]
    assert health.problems(another, cluster.EXPECTED) == []
    assert traces(another) != []
    assert cluster.down(another) is True
    assert traces(another) == []


@pytest.mark.parametrize("program", ["containerd", "kube-apiserver", "kubelet"])
def test_an_up_that_was_killed_half_way_is_cleaned_up_by_the_next(another: layout.Layout, program: str) -> None:
    killed = up_by_hand(another)
    until((another.pids / f"{program}.json").exists)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    assert cluster.up(another) is True
    assert health.problems(another, cluster.EXPECTED) == []


def test_a_lab_of_which_a_program_has_died_is_started_anew(another: layout.Layout) -> None:
    cluster.up(another)
    (scheduler,) = [made for made in processes.known(another) if made.name == "kube-scheduler"]
    os.kill(scheduler.pid, signal.SIGKILL)
    until(lambda: not scheduler.alive)
    assert health.problems(another, cluster.EXPECTED) == ["kube-scheduler does not run"]
    assert cluster.up(another) is True
    assert health.problems(another, cluster.EXPECTED) == []


def test_a_program_that_can_not_start_is_told_with_its_log_and_taken_down(
    another: layout.Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "API_PORT", 99999)
    with pytest.raises(Trouble, match=r"kube-apiserver has ended[\s\S]*99999"):
        cluster.up(another)
    assert cgroups.members(another) == []


def test_the_lock_of_a_lab_is_beside_its_data_and_survives_it(another: layout.Layout) -> None:
    with cache.locked(another.lock, "a test"):
        assert another.lock.exists()
    assert not another.lock.is_relative_to(another.data)
