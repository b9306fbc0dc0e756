"""A real cluster for tests, and a stack of this project on it."""

import base64
import contextlib
import functools
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
import tenacity
from kubernetes import client, config, stream

from tests.support.deployment import Deployment
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from lab.lab import Lab

PASSWORD = "correct-horse-battery"
"""Made up here and used nowhere else."""
_SECONDS = 120
_NODE_PORTS = range(30000, 32768)
"""Those that Kubernetes gives by default."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster, and what a stack on it has to be told."""

    kubeconfig: Path
    node: str
    """An address at which this machine reaches the nodes' ports."""

    kubernetes: Mapping[str, Any]
    """Settings under ci:kubernetes."""

    registry: Mapping[str, Any]
    """Settings under ci:registry."""

    lab: "Lab | None"

    @functools.cached_property
    def api(self) -> Any:
        """A client for the API, one for all tests: each has its own connections."""
        return config.new_client_from_config(config_file=str(self.kubeconfig))


def in_the_lab() -> Cluster:
    """Bring the lab up and give its cluster. Raises OpsError where it can't be."""
    import lab  # noqa: PLC0415 - needs none of it on a cluster of yours

    found = lab.ensure()
    images = found.images
    return Cluster(
        kubeconfig=found.kubeconfig,
        node=found.node_address,
        kubernetes={
            "kanikoImage": images["kaniko"],
            "buildkitImage": images["buildkit"],
            "buildahImage": images["buildah"],
            "gitImage": images["git"],
            "kubectlImage": images["kubectl"],
        },
        registry={
            "image": images["registry"],
            "accessImage": images["haproxy"],
            "mirror": {"upstream": f"http://{found.upstream}", "storageGib": 1},
        },
        lab=found,
    )


def of_yours(kubeconfig: Path) -> Cluster:
    """Give the cluster of a kubeconfig; builds there use the public images."""
    api = config.new_client_from_config(config_file=str(kubeconfig))
    nodes: Any = client.CoreV1Api(api).list_node()
    [first, *_] = nodes.items
    [address, *_] = [entry.address for entry in first.status.addresses if entry.type == "InternalIP"]
    return Cluster(kubeconfig=kubeconfig, node=address, kubernetes={}, registry={}, lab=None)


@dataclass
class Stack:
    """A stack on a cluster."""

    deployment: Deployment
    cluster: Cluster
    namespace: str = field(default_factory=lambda: f"test-{secrets.token_hex(3)}")
    node_port: int = 0
    """The registry's port on the node; a free one where none is given."""

    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Choose the registry's port."""
        self.node_port = self.node_port or self.free_port()

    def free_port(self) -> int:
        """Give a port that no Service of the cluster has."""
        services: Any = self.core.list_service_for_all_namespaces()
        taken = {port.node_port for service in services.items for port in service.spec.ports or ()}
        return secrets.choice([port for port in _NODE_PORTS if port not in taken])

    def configure(self, *builds: Mapping[str, Any], **sections: Mapping[str, Any]) -> None:
        """Write the stack's settings: these builds, and sections, over those that each stack has; None takes a key."""
        registry = {**self.cluster.registry, "plainHttp": True, "nodePort": self.node_port, "storageGib": 1}
        kubernetes = {"kubeconfig": str(self.cluster.kubeconfig), "namespace": self.namespace}
        usual = {"registry": registry, "kubernetes": {**kubernetes, **self.cluster.kubernetes}}
        merged = {name: {**usual.get(name, {}), **sections.get(name, {})} for name in (*usual, *sections)}
        of = {name: {key: each for key, each in keys.items() if each is not None} for name, keys in merged.items()}
        self.settings = {"platform": "kubernetes", "builds": list(builds), **of}
        self.deployment.configure(**self.settings)

    @property
    def builds(self) -> str:
        """The builds' namespace."""
        return f"{self.namespace}-builds"

    @property
    def core(self) -> Any:
        """The core API."""
        return client.CoreV1Api(self.cluster.api)

    def jobs(self) -> dict[str, Any]:
        """Give the stack's Jobs by name."""
        found: Any = client.BatchV1Api(self.cluster.api).list_namespaced_job(self.builds)
        return {item.metadata.name: item for item in found.items}

    def job(self, build: str) -> Any:
        """Give a build's only Job."""
        [found] = [job for name, job in self.jobs().items() if name.rpartition("-")[0] == build]
        return found

    def log(self, job: str) -> str:
        """Give a Job's log."""
        [pod, *_] = self.core.list_namespaced_pod(
            self.builds, label_selector=f"batch.kubernetes.io/job-name={job}"
        ).items
        text: str = self.core.read_namespaced_pod_log(pod.metadata.name, self.builds)
        return text

    def run(self, image: str, *command: str, volume: str | None = None) -> str:
        """Run an image in the builds' namespace to its end; give what it printed and how it ended on the last line.

        volume: a claim to mount at /v.
        """
        container: dict[str, Any] = {"imagePullPolicy": "Always"}
        if command:
            container["command"] = list(command)
        if volume:
            container["volumeMounts"] = [{"name": "v", "mountPath": "/v"}]
        volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": volume}}] if volume else []
        with self._pod(image, container, self.builds, restartPolicy="Never", volumes=volumes) as name:
            patience = time.monotonic() + 60
            phase = until(lambda: self._ended(name, patience))
            return f"{self.core.read_namespaced_pod_log(name, self.builds)}{phase}"

    @contextlib.contextmanager
    def shell(self, image: str, namespace: str = "") -> Iterator[Callable[[str], str]]:
        """Start a pod of an image with a shell, by default in the builds' namespace; give what runs a script in it.

        Only a pod whose address the API server knows is held to NetworkPolicies, so that is awaited.
        """
        namespace = namespace or self.builds
        with self._pod(image, {"command": ["sleep", "600"]}, namespace) as name:
            until(lambda: self.core.read_namespaced_pod(name, namespace).status.phase == "Running")
            yield lambda script: self.execute(name, namespace, script)

    @contextlib.contextmanager
    def reaching(self, image: str, namespace: str = "") -> Iterator[Callable[[str, int], bool]]:
        """Start such a pod, and give what says whether it can connect to a host's port."""
        with self.shell(image, namespace) as run:
            yield lambda host, port: "open" in run(f"timeout 3 nc {host} {port} </dev/null && echo open || echo closed")

    @contextlib.contextmanager
    def account(self, name: str) -> Iterator[Any]:
        """Give a client for the API with the rights of a service account of the registry's namespace."""
        api: Any = config.new_client_from_config(config_file=str(self.cluster.kubeconfig))
        api.set_default_header("Impersonate-User", f"system:serviceaccount:{self.namespace}:{name}")
        yield api
        api.rest_client.pool_manager.clear()  # its own `close` leaves the connections open

    @contextlib.contextmanager
    def _pod(self, image: str, container: Mapping[str, Any], namespace: str, **more: Any) -> Iterator[str]:
        """Start a pod of one container; give its name. It is deleted in the end."""
        name = f"test-{secrets.token_hex(3)}"
        spec = {
            "automountServiceAccountToken": False,
            "imagePullSecrets": [{"name": "registry-pull"}],
            "containers": [{"name": "test", "image": image, **container}],
            **more,
        }
        self.core.create_namespaced_pod(namespace, {"metadata": {"name": name}, "spec": spec})
        try:
            yield name
        finally:
            self.core.delete_namespaced_pod(name, namespace, grace_period_seconds=0)

    def execute(self, pod: str, namespace: str, script: str, **container: str) -> str:
        """Run a shell's script in a pod; give what it printed. container: `container=` for a pod of several."""
        # A client of its own, since `stream` puts itself in the place of the client's requests.
        own: Any = client.CoreV1Api(config.new_client_from_config(config_file=str(self.cluster.kubeconfig)))
        ask, words = own.connect_get_namespaced_pod_exec, ["sh", "-c", script]
        wanted = {"stdout": True, "stderr": True, "stdin": False, "tty": False, "_preload_content": False}
        session: Any = stream.stream(ask, pod, namespace, command=words, **wanted, **container)
        try:
            session.run_forever(timeout=60)
            return str(session.read_all())
        finally:
            session.sock.shutdown()  # its `close` leaves a connection open that the other side has ended

    def _ended(self, pod: str, patience: float) -> str | None:
        status = self.core.read_namespaced_pod(pod, self.builds).status
        # A first pull may fail where the kubelet does not have the Secret yet: it tries again after ten seconds.
        waiting = [entry.state.waiting for entry in status.container_statuses or () if entry.state.waiting]
        for state in waiting:
            assert state.reason not in {"ImagePullBackOff", "InvalidImageName"} or time.monotonic() < patience, (
                state.message
            )
        return status.phase if status.phase in {"Succeeded", "Failed"} else None

    def ask(
        self, path: str, method: str = "GET", *, user: str = "ci", password: str | None = PASSWORD, accept: str = "*/*"
    ) -> Any:
        """Ask the registry from this machine, through the node's port; None as password asks without a login.

        A registry that was just started is not reached yet: kube-proxy learns of it a moment later.
        """
        again = tenacity.Retrying(
            stop=tenacity.stop_after_delay(30),
            wait=tenacity.wait_fixed(0.3),
            retry=tenacity.retry_if_exception_type(requests.ConnectionError),
            reraise=True,
        )
        return again(
            requests.request,
            method,
            f"http://{self.cluster.node}:{self.node_port}{path}",
            auth=(user, password) if password is not None else None,
            headers={"Accept": accept},
            timeout=10,
        )

    def digest(self, repository: str, reference: str, password: str = PASSWORD) -> str | None:
        """Give the digest that the registry holds under a tag; None where it has none."""
        kinds = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
        answer = self.ask(f"/v2/{repository}/manifests/{reference}", "HEAD", password=password, accept=kinds)
        return str(answer.headers["Docker-Content-Digest"]) if answer.ok else None

    def remove(self) -> None:
        """Destroy the stack, and what is kept on purpose."""
        if self.settings:
            self.deployment.destroy()
        self.remove_namespaces()

    def remove_namespaces(self) -> None:
        """Delete its namespaces with all that is in them."""
        for name in (self.namespace, self.builds, f"{self.namespace}-buildkit"):
            with contextlib.suppress(client.ApiException):  # gone with the stack, or on its way
                self.core.delete_namespace(name)


def until(look: Callable[[], Any], seconds: float = _SECONDS) -> Any:
    """Look again and again until there is something to give; fails after so many seconds."""
    return eventually(look, seconds=seconds, every=0.3)


def inline(dockerfile: str, **files: str) -> dict[str, Any]:
    """Give an inline context: a Dockerfile, and files whose dots are written as `__`."""
    return {"inline": {"Dockerfile": dockerfile, **{name.replace("__", "."): text for name, text in files.items()}}}


def logins(secret: Any) -> Mapping[str, Any]:
    """Give the logins of a Secret of type dockerconfigjson by host."""
    found: Mapping[str, Any] = json.loads(base64.b64decode(secret.data[".dockerconfigjson"]))["auths"]
    return found


def names(items: Sequence[Any]) -> set[str]:
    """Give the names of API objects."""
    return {item.metadata.name for item in items}
