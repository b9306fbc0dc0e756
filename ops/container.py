"""The container of Jenkins, or of a GitLab Runner, after an update: whether it is well, and its log if not."""

# ruff: noqa: PLC0415 - imported late: what a quiet `make up` does not need is not to cost it time

from __future__ import annotations

import http.client
from typing import Any

from ops import choice, stackfile
from tools.toolchain import console, docker_engine

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


def name_of(settings: dict[str, Any]) -> str:
    """The name of a Docker stack's container, by its settings and their defaults."""
    section, default = ("ci:jenkins", "jenkins-server")
    if stackfile.gitlab_runner(settings):
        section, default = ("ci:gitlabRunner", "gitlab-runner")
    return str(stackfile.setting(settings, section, "containerName", default=default))


def show_log(settings: dict[str, Any]) -> None:
    """Show how the log of a container that is not well ends: Jenkins says there why it does not start."""
    host = choice.docker_host(settings)
    name = name_of(settings)
    if not trouble(host, name, starting_is_well=False):
        return
    import docker

    try:
        lines = docker.DockerClient(base_url=host).containers.get(name).logs(tail=LOG_LINES)
    except docker.errors.DockerException:
        return  # There is no container, or no engine: Pulumi has said so.
    if lines:
        console.note(f"\nThe last lines of `docker logs {name}`:")
        console.note("".join(f"  | {line}\n" for line in lines.decode(errors="replace").splitlines()))
