"""Stacks of Kubernetes objects, and looking at the cluster beside Pulumi."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.parity.support import HERE, Entry, Plugins, Stack

if TYPE_CHECKING:
    from kubernetes.dynamic import DynamicClient

Manifest = dict[str, Any]
SKIP_AWAIT = {"pulumi.com/skipAwait": "true"}


@dataclass(frozen=True)
class Cluster:
    """The cluster under test: its kubeconfig, an image on its nodes with busybox's applets, and a client."""

    kubeconfig: Path
    image: str
    client: DynamicClient

    def resource(self, version: str, kind: str) -> Any:
        """Give the client of one kind."""
        return self.client.resources.get(api_version=version, kind=kind)

    def get(self, version: str, kind: str, name: str, namespace: str = "") -> Manifest | None:
        """Read an object; None when it is not there."""
        from kubernetes.dynamic.exceptions import NotFoundError  # noqa: PLC0415 (a second of its import)

        try:
            found = self.resource(version, kind).get(name=name, namespace=namespace or None)
        except NotFoundError:
            return None
        read: Manifest = found.to_dict()
        return read

    def patch(self, version: str, kind: str, name: str, namespace: str, body: Manifest) -> None:
        """Change an object behind Pulumi's back."""
        content = "application/merge-patch+json"
        self.resource(version, kind).patch(name=name, namespace=namespace, body=body, content_type=content)


@dataclass
class ClusterStack(Stack):
    """A stack of Kubernetes objects."""

    kubeconfig: Path = Path()
    settings: dict[str, Any] = field(default_factory=dict)

    def write(self, program: str | None = None, **settings: Any) -> None:
        """Write Pulumi.yaml and the program of resources.json."""
        super().write(program, **settings)
        if program is None:
            shutil.copyfile(HERE / "kubernetes_program.py", self.folder / "__main__.py")

    def declare(self, *entries: Entry) -> None:
        """Let the program declare `entries`."""
        provider = {"kubeconfig": self.kubeconfig.read_text(encoding="utf-8"), **self.settings}
        (self.folder / "provider.json").write_text(json.dumps(provider), encoding="utf-8")
        (self.folder / "resources.json").write_text(json.dumps(entries), encoding="utf-8")

    def environment(self) -> dict[str, str]:
        """Give the environment of the CLI, without a kubeconfig of the user's."""
        return {**super().environment(), "KUBECONFIG": "", **self.variables}

    def with_plugins(self, plugins: Plugins) -> ClusterStack:
        """Give the same stack, run with other plugins from now on."""
        other = ClusterStack(self.folder, plugins, self.host, kubeconfig=self.kubeconfig, settings=self.settings)
        other.started = self.started
        return other

    def run_in(self, *arguments: str) -> tuple[str, ...]:
        """Name the stack to the CLI: which one is selected is kept in a home that other plugins do not share."""
        return arguments if arguments[:2] == ("stack", "init") else (*arguments, "--stack", "test")


def entry(name: str, manifest: Manifest, **opts: Any) -> Entry:
    """Describe a resource."""
    return {"name": name, "manifest": manifest, "opts": opts}


def manifest(version: str, kind: str, name: str, namespace: str = "", /, **parts: Any) -> Manifest:
    """Make a manifest; `metadata` in the parts adds to its metadata."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **parts.pop("metadata", {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **parts}


def pod_spec(image: str, *command: str, **container: Any) -> Manifest:
    """Make a pod's spec: one container, and a quick end."""
    basic = {"name": "main", "image": image, "imagePullPolicy": "IfNotPresent", "command": list(command), **container}
    return {"terminationGracePeriodSeconds": 0, "containers": [basic]}


def job(name: str, namespace: str, image: str, script: str, **annotations: str) -> Manifest:
    """Make a Job that runs a shell script once, and shows the end of what it prints when it fails."""
    container = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    spec = {"restartPolicy": "Never", **pod_spec(image, "sh", "-c", script, **container)}
    metadata = {"annotations": {f"pulumi.com/{key}": value for key, value in annotations.items()}}
    return manifest(
        "batch/v1", "Job", name, namespace, metadata=metadata, spec={"backoffLimit": 0, "template": {"spec": spec}}
    )
