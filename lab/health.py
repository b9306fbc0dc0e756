"""Waiting for the lab, and asking how it is."""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import requests

from lab import layout, processes
from lab.layout import Layout
from setup.console import OpsError

STEP_SECONDS = 0.1
PARTS = {
    "The API server": ("/readyz", ""),
    "The node": ("/api/v1/nodes/{node}", "Ready"),
    "The cluster DNS": ("/apis/apps/v1/namespaces/kube-system/deployments/coredns", "Available"),
}
"""What must serve: where the API server tells, and the condition that says so, if success alone does not."""


def wait(lab: Layout, what: str, condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a condition, asked ten times a second, as long as the lab's processes live.

    what: is waited for, as the subject of "... is not there after 60 s". Raises OpsError when it does not come true in
    time, or a process ends.
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


def ready(lab: Layout, part: str) -> bool:
    """Whether one of PARTS serves."""
    path, wanted = PARTS[part]
    found = answer(f"https://{lab.node_address}:{layout.API_PORT}{path.format(node=lab.netns)}", lab)
    if not found or not wanted:
        return bool(found)
    conditions: list[dict[str, Any]] = found.json().get("status", {}).get("conditions", [])
    return any((each["type"], each["status"]) == (wanted, "True") for each in conditions)


def problems(lab: Layout, expected: set[str]) -> list[str]:
    """What is wrong with a lab that should be up and run these processes, in words; nothing when it is well."""
    running = {made.name for made in processes.known(lab) if made.alive}
    found = [f"{name} does not run" for name in sorted(expected - running)]
    return found or [f"{part} is not ready" for part in PARTS if not ready(lab, part)]
