"""A stack's containers after an update: whether they are well, and what their logs say if not."""

# ruff: noqa: PLC0415 - imported late: what a quiet `make up` does not need is not to cost it time

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import quote

from components import labels
from ops import choice
from ops.toolchain import console, docker_engine

NO_CAPABILITIES = "unable to apply caps"
"""What the engine says where a privileged container can't start. Source: opencontainers/runc, its capabilities."""
LOG_LINES = 20
"""How much of a container's log is shown when it is not well. A refused configuration takes Jenkins about ten."""


def trouble(host: str, name: str, *, starting_is_well: bool = True) -> str:
    """What is wrong with a container of a local engine, as the end of a sentence; empty if nothing is."""
    if not name or not host.startswith("unix://"):
        return ""
    try:
        status, seen = docker_engine.get(host, f"/containers/{name}/json")
    except OSError as failed:
        return f"the engine at {host} does not answer any more ({failed})"
    state: dict[str, Any] = seen["State"] if status == http.client.OK else {"Status": "gone"}
    if state.get("Status") != "running":
        return f"the container {name} is {state.get('Status')}"
    health = state.get("Health", {}).get("Status")
    ill = {"unhealthy"} if starting_is_well else {"unhealthy", "starting"}
    return f"the container {name} is {health}" if health in ill else ""


def show_logs(settings: dict[str, Any], project: str, stack: str) -> None:
    """Show how the logs of a stack's containers that are not well end."""
    host = choice.docker_host(settings)
    if host.startswith("unix://"):
        wanted = {"label": [f"{name}={value}" for name, value in labels.of(project, stack).items()]}
        try:
            status, found = docker_engine.get(host, f"/containers/json?all=1&filters={quote(json.dumps(wanted))}")
        except OSError:
            return  # There is no engine: Pulumi has said so.
        for entry in found if status == http.client.OK else ():
            show_log(host, entry["Names"][0].removeprefix("/"))


def show_log(host: str, name: str) -> None:
    """Show how the log of a container that is not well ends: Jenkins says there why it does not start."""
    if not trouble(host, name, starting_is_well=False):
        return
    import docker

    try:
        _explain(host, name)
        lines = docker.DockerClient(base_url=host).containers.get(name).logs(tail=LOG_LINES)
    except (docker.errors.DockerException, OSError):
        return  # There is no container, or no engine: Pulumi has said so.
    if lines:
        console.note(f"\nThe last lines of `docker logs {name}`:")
        console.note("".join(f"  | {line}\n" for line in lines.decode(errors="replace").splitlines()))


def _explain(host: str, name: str) -> None:
    """Say what to write where the machine can't give a container the privileges that it is to have."""
    status, seen = docker_engine.get(host, f"/containers/{name}/json")
    said = str(seen["State"].get("Error") or "") if status == http.client.OK else ""
    if NO_CAPABILITIES in said:
        console.note(
            f"\nThis machine keeps a capability back, so {name} can't start with all of them. An engine beside Jenkins "
            "does with fewer: write privileged: false under ci:docker.dind."
        )
