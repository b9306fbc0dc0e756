"""The lab as it runs: one real node that does what a cluster does."""

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
from lab import Lab, cgroups, cluster, health, layout, netns, processes, servers
from ops.toolchain.console import OpsError

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root"),
    pytest.mark.timeout(2400),  # the first run builds it
]
REGISTRY_PORT = 30555
NO_ESCALATION = {"allowPrivilegeEscalation": False}
BUILDS = {"drop": ["ALL"], "add": ["CHOWN", "SETUID", "SETGID", "FOWNER", "DAC_OVERRIDE"]}


@pytest.fixture(scope="module")
def lab() -> Lab:
    """Give the clone's own lab; it stays up afterwards."""
    return lab_package.ensure()


class Kubectl:
    """kubectl in a namespace of a test's own."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.namespace = lab, f"test-{secrets.token_hex(4)}"
        self.words = [str(lab.kubectl), "--kubeconfig", str(lab.kubeconfig), "--namespace", self.namespace]

    def __call__(self, *words: str, data: object = None) -> str:
        text = None if data is None else json.dumps(data)
        done = subprocess.run(
            [*self.words, *words], input=text, capture_output=True, text=True, timeout=180, check=False
        )
        assert done.returncode == 0, f"kubectl {words}: {done.stderr}"
        return done.stdout

    def apply(self, *objects: dict[str, Any]) -> None:
        self("apply", "-f", "-", data={"apiVersion": "v1", "kind": "List", "items": list(objects)})

    def run(self, name: str, *command: str, **changes: Any) -> str:
        """Run a pod to its end with success, and give what it wrote."""
        self.apply(pod(name, changes.pop("image", self.lab.images["busybox"]), *command, **changes))
        self("wait", f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=90s")
        return self("logs", name)


@pytest.fixture
def kubectl(lab: Lab) -> Iterator[Kubectl]:
    run = Kubectl(lab)
    run("create", "namespace", run.namespace)
    run("label", "namespace", run.namespace, "pod-security.kubernetes.io/enforce=baseline")
    yield run
    run("delete", "namespace", run.namespace, "--wait=false")


def pod(name: str, image: str, *command: str, volumes: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    container = {"name": name, "image": image, "securityContext": NO_ESCALATION, **changes}
    if command:
        container["command"] = list(command)
    spec = {
        "containers": [container],
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "volumes": [{"name": name, **source} for name, source in (volumes or {}).items()],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}


def serve(kubectl: Kubectl, name: str, image: str, port: int, *command: str, node_port: int = 0) -> str:
    """Start a server with a Service of its name; give the Service's NodePort."""
    probe = {"tcpSocket": {"port": port}, "periodSeconds": 1}
    ports = [{"port": port, **({"nodePort": node_port} if node_port else {})}]
    spec = {"type": "NodePort", "selector": {"app": name}, "ports": ports}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
    kubectl.apply(pod(name, image, *command, readinessProbe=probe), service)
    kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
    return kubectl("get", "service", name, "-o", "jsonpath={.spec.ports[0].nodePort}")


def web(kubectl: Kubectl) -> str:
    script = "cd /tmp && echo served >index.html && exec httpd -f -p 8080 -h /tmp"
    return serve(kubectl, "web", kubectl.lab.images["busybox"], 8080, "sh", "-c", script)


def until(ask: Callable[[], Any], seconds: float = 60) -> Any:
    """Ask until the answer is true; a connection that fails is asked for again."""
    end = time.monotonic() + seconds
    while True:
        try:
            if found := ask():
                return found
        except requests.RequestException:
            pass
        assert time.monotonic() < end
        time.sleep(0.1)


def get(url: str) -> str:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, timeout=2).text


def test_a_second_up_finds_it_up_and_starts_nothing(lab: Lab) -> None:
    before = processes.known(lab.layout)
    assert cluster.up(lab.layout) is False
    assert processes.known(lab.layout) == before
    assert health.problems(lab.layout, cluster.EXPECTED) == []


def test_pods_look_up_services_and_the_labs_names_and_learn_at_once_that_others_do_not_exist(kubectl: Kubectl) -> None:
    script = (
        "nslookup kubernetes.default.svc.cluster.local && nslookup upstream.lab.test && "
        "! timeout 5 nslookup registry.example.com"
    )
    written = kubectl.run("dns", "sh", "-c", script)
    assert "10.96.0.1" in written
    assert kubectl.lab.node_address in written
    assert "NXDOMAIN" in written


def test_a_service_is_reached_from_a_pod_from_this_machine_and_by_port_forward(kubectl: Kubectl) -> None:
    port = web(kubectl)
    assert until(lambda: get(f"http://{kubectl.lab.node_address}:{port}/")) == "served\n"
    assert kubectl.lab.run("wget", "-qO-", f"http://127.0.0.1:{port}/") == b"served\n"
    assert kubectl.run("client", "wget", "-qO-", "http://web:8080/") == "served\n"
    assert kubectl("exec", "web", "--", "cat", "/tmp/index.html") == "served\n"
    words = [*kubectl.words, "port-forward", "pod/web", ":8080"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as forward:
        assert forward.stdout is not None
        local = forward.stdout.readline().partition("127.0.0.1:")[2].split()[0]
        try:
            assert until(lambda: get(f"http://127.0.0.1:{local}/")) == "served\n"
        finally:
            forward.kill()


def test_a_claim_gets_a_volume_that_any_user_writes_to_and_that_goes_with_it(kubectl: Kubectl) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    kubectl.apply(claim)
    mounted: dict[str, Any] = {
        "volumes": {"data": {"persistentVolumeClaim": {"claimName": "data"}}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "securityContext": {**NO_ESCALATION, "runAsUser": 1234},
    }
    kubectl.run("one", "sh", "-c", "echo kept >/data/x", **mounted)
    assert kubectl.run("two", "cat", "/data/x", **mounted) == "kept\n"
    name = kubectl("get", "pvc", "data", "-o", "jsonpath={.spec.volumeName}")
    folder = kubectl.lab.layout.data / "volumes" / f"{name}_{kubectl.namespace}_data"
    assert (folder / "x").read_text() == "kept\n"
    kubectl("delete", "pod", "--all")
    kubectl("delete", "pvc", "data")
    kubectl("wait", "--for=delete", f"pv/{name}", "--timeout=60s")
    assert not folder.exists()


@pytest.mark.parametrize("direction", ["Ingress", "Egress"])
def test_a_connection_is_refused_while_a_policy_forbids_it_and_made_before_and_after(
    kubectl: Kubectl, direction: str
) -> None:
    web(kubectl)
    kubectl.apply(pod("client", kubectl.lab.images["busybox"], "sleep", "600"))
    kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=60s")
    address = kubectl("get", "pod", "web", "-o", "jsonpath={.status.podIP}")
    script = f"timeout 2 wget -qO- http://{address}:8080/ || echo refused"
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "web" if direction == "Ingress" else "client"}},
            "policyTypes": [direction],
        },
    }

    def answers(expected: str) -> bool:
        return kubectl("exec", "client", "--", "sh", "-c", script) == expected

    until(lambda: answers("served\n"))
    kubectl.apply(policy)
    until(lambda: answers("refused\n"))
    kubectl("delete", "networkpolicy", "deny")
    until(lambda: answers("served\n"))


def test_a_privileged_pod_is_refused_by_the_namespaces_level(kubectl: Kubectl) -> None:
    refused = pod("root", kubectl.lab.images["busybox"], "true", securityContext={"privileged": True})
    with pytest.raises(AssertionError, match="violates PodSecurity"):
        kubectl.apply(refused)


def test_a_pod_that_takes_more_memory_than_its_limit_is_killed(kubectl: Kubectl) -> None:
    script = "head -c 200m /dev/zero | tail"
    limits = {"limits": {"memory": "32Mi"}}
    kubectl.apply(pod("hungry", kubectl.lab.images["busybox"], "sh", "-c", script, resources=limits))
    kubectl("wait", "pod/hungry", "--for=jsonpath={.status.phase}=Failed", "--timeout=60s")
    reason = "jsonpath={.status.containerStatuses[0].state.terminated.reason}"
    assert kubectl("get", "pod", "hungry", "-o", reason) == "OOMKilled"


def test_kaniko_builds_on_the_upstreams_base_and_pushes_and_the_node_runs_the_result(kubectl: Kubectl) -> None:
    lab = kubectl.lab
    serve(kubectl, "registry", lab.images["registry"], 5000, node_port=REGISTRY_PORT)
    until(lambda: get(f"http://{lab.node_address}:{REGISTRY_PORT}/v2/"))
    data = {"Dockerfile": f"FROM {lab.upstream}/library/alpine:latest\nRUN echo built >/msg\n"}
    kubectl.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "context"}, "data": data})
    kubectl.run(
        "build",
        image=lab.images["kaniko"],
        args=[
            "--context=dir:///workspace",
            f"--destination={lab.node_address}:{REGISTRY_PORT}/team/app:1",
            "--insecure",
            "--insecure-pull",
            "--digest-file=/dev/termination-log",
        ],
        volumes={"context": {"configMap": {"name": "context"}}},
        volumeMounts=[{"name": "context", "mountPath": "/workspace/Dockerfile", "subPath": "Dockerfile"}],
        securityContext={**NO_ESCALATION, "capabilities": BUILDS, "seccompProfile": {"type": "RuntimeDefault"}},
    )
    ended = "jsonpath={.status.containerStatuses[0].state.terminated.message}"
    digest = kubectl("get", "pod", "build", "-o", ended)
    lab.trust(f"localhost:{REGISTRY_PORT}")
    image = f"localhost:{REGISTRY_PORT}/team/app@{digest}"
    assert kubectl.run("built", "cat", "/msg", image=image) == "built\n"


def test_images_come_from_the_upstream_by_a_bare_name_and_by_tls_and_files_from_a_tests_server(
    kubectl: Kubectl, tmp_path: Path
) -> None:
    assert kubectl.run("bare", "echo", "pulled", image="alpine", imagePullPolicy="Always") == "pulled\n"
    secure = f"{kubectl.lab.upstream_tls}/library/busybox:1"
    assert kubectl.run("secure", "echo", "by TLS", image=secure) == "by TLS\n"
    (tmp_path / "file").write_text("served")
    with servers.files(tmp_path, kubectl.lab.host_address) as served:
        assert kubectl.run("get", "wget", "-qO-", f"{served.url}/file") == "served"


@pytest.fixture
def another(lab: Lab, tmp_path: Path) -> Iterator[layout.Layout]:
    """Give the layout of a second lab, beside the first; it is gone afterwards."""
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


def test_two_ups_at_once_give_one_lab_a_dead_program_is_noticed_and_down_leaves_nothing(another: layout.Layout) -> None:
    both = [up_by_hand(another) for _ in range(2)]
    said = [each.communicate(timeout=600)[0] for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert sorted("up and well already" in text for text in said) == [False, True]
    assert health.problems(another, cluster.EXPECTED) == []
    (scheduler,) = [made for made in processes.known(another) if made.name == "kube-scheduler"]
    os.kill(scheduler.pid, signal.SIGKILL)
    until(lambda: not scheduler.alive)
    assert health.problems(another, cluster.EXPECTED) == ["kube-scheduler does not run"]
    assert traces(another) != []
    assert cluster.down(another) is True
    assert traces(another) == []


@pytest.mark.parametrize("program", ["containerd", "kubelet"])
def test_an_up_that_was_killed_is_cleaned_up_by_the_next(another: layout.Layout, program: str) -> None:
    killed = up_by_hand(another)
    until((another.pids / f"{program}.json").exists)
    killed.kill()
    killed.communicate(timeout=60)
    assert cluster.up(another) is True
    assert health.problems(another, cluster.EXPECTED) == []


def test_a_program_that_can_not_start_is_shown_with_its_log_and_nothing_stays_running(
    another: layout.Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "API_PORT", 99999)
    with pytest.raises(OpsError, match=r"kube-apiserver has ended[\s\S]*99999"):
        cluster.up(another)
    assert cgroups.members(another) == []
