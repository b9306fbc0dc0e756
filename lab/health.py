"""Waiting for the lab, and asking how it is."""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import requests

from lab import processes
from lab.layout import Layout
from ops.toolchain.console import OpsError

STEP_SECONDS = 0.1


def wait(lab: Layout, what: str, condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a condition, as long as the lab's processes live.

    Args:
        lab: whose processes.
        what: is waited for, as the subject of "... is not there after 60 s".
        condition: asked ten times a second.
        seconds: the longest that is waited.

    Raises:
        OpsError: when it does not come true in time, or a process ends.
    """
    until = time.monotonic() + seconds
    while not condition():
        for made in processes.known(lab):
            processes.check(lab, made)
        if time.monotonic() > until:
            raise OpsError(f"{what} is not there after {seconds:.0f} s.", f"The logs are in {lab.logs}.")
        time.sleep(STEP_SECONDS)


def answer(url: str, lab: Layout | None = None) -> requests.Response | None:
    """One GET; None unless a server answers with success.

    lab: for its API server, which is asked as the administrator.
    """
    own: Any = lab and {"verify": str(lab.ca), "cert": (str(lab.pki / "admin.crt"), str(lab.pki / "admin.key"))}
    with requests.Session() as session, contextlib.suppress(OSError):  # of requests, or a certificate is not there
        session.trust_env = False  # a proxy of the user's is not for the lab's addresses
        found = session.get(url, timeout=2, **(own or {}))
        return found if found.ok else None
    return None


def api_ready(lab: Layout) -> bool:
    """Whether the API server serves."""
    return answer(f"{lab.api}/readyz", lab) is not None


def node_ready(lab: Layout) -> bool:
    """Whether the node takes pods."""
    return _condition(lab, f"/api/v1/nodes/{lab.netns}", "Ready")


def dns_ready(lab: Layout) -> bool:
    """Whether the cluster DNS serves."""
    return _condition(lab, "/apis/apps/v1/namespaces/kube-system/deployments/coredns", "Available")


def problems(lab: Layout, expected: set[str]) -> list[str]:
    """What is wrong with a lab that should be up, in words; nothing when it is well.

    Args:
        lab: the lab.
        expected: the names of the processes that must run.
    """
    running = {made.name for made in processes.known(lab) if made.alive}
    found = [f"{name} does not run" for name in sorted(expected - running)]
    checks = {"the API server is not ready": api_ready, "the node is not ready": node_ready, "no DNS": dns_ready}
    return found or [text for text, check in checks.items() if not check(lab)]


def _condition(lab: Layout, path: str, name: str) -> bool:
    found = answer(f"{lab.api}{path}", lab)
    conditions: list[dict[str, Any]] = found.json().get("status", {}).get("conditions", []) if found else []
    return any(condition["type"] == name and condition["status"] == "True" for condition in conditions)
