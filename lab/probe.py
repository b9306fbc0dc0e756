"""Trying out what a cluster really does, where its word is not enough."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from typing import TYPE_CHECKING, Any

from ops.toolchain.errors import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

READY_SECONDS = 90
REACH_SECONDS = 30
BLOCK_SECONDS = 15
TRY_SECONDS = 2


def enforces_network_policy(kubeconfig: Path, kubectl: str | Path = "kubectl", image: str = "busybox") -> bool:
    """Whether a cluster enforces NetworkPolicies: a pod that another can reach is one no more when a policy says so.

    Takes a few seconds, in a namespace of its own, which is removed again.

    Args:
        kubeconfig: of somebody who may make namespaces.
        kubectl: the program.
        image: one with busybox' commands that the cluster can pull.

    Raises:
        Trouble: when the pods can't be started or never reach each other, so that nothing is proven.
    """
    namespace = f"probe-{secrets.token_hex(4)}"

    def run(*words: str, data: str = "", seconds: float = READY_SECONDS) -> str:
        command = [str(kubectl), "--kubeconfig", str(kubeconfig), "--namespace", namespace, *words]
        done = subprocess.run(command, input=data, capture_output=True, text=True, timeout=seconds + 30, check=False)
        if done.returncode:
            raise Trouble(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def reached() -> bool:
        script = f"timeout {TRY_SECONDS} wget -qO- http://{address}:8080/"
        try:
            return "reached" in run("exec", "client", "--", "sh", "-c", script)
        except Trouble:
            return False

    try:
        run("create", "namespace", namespace)
        run("apply", "-f", "-", data=json.dumps(_pods(image)))
        run("wait", "--for=condition=Ready", "pod/server", "pod/client", f"--timeout={READY_SECONDS}s")
        address = run("get", "pod", "server", "-o", "jsonpath={.status.podIP}")
        if not _within(REACH_SECONDS, reached):
            raise Trouble("One pod can't reach another even without a NetworkPolicy: the cluster's network is broken.")
        run("apply", "-f", "-", data=json.dumps(_deny()))
        return _within(BLOCK_SECONDS, lambda: not reached())
    finally:
        run("delete", "namespace", namespace, "--ignore-not-found", "--wait=false")


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True


def _pods(image: str) -> dict[str, Any]:
    serve = "cd /tmp && echo reached >index.html && exec httpd -f -p 8080 -h /tmp"
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [_pod("server", image, ["sh", "-c", serve]), _pod("client", image, ["sleep", "600"])],
    }


def _pod(name: str, image: str, command: list[str]) -> dict[str, Any]:
    """A pod that every Pod Security level lets in."""
    container = {
        "name": name,
        "image": image,
        "command": command,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
    }
    spec = {
        "containers": [container],
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"name": name}}, "spec": spec}


def _deny() -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny"},
        "spec": {"podSelector": {"matchLabels": {"name": "server"}}, "policyTypes": ["Ingress"]},
    }
