"""`status`: what a stack deployed, how it is now, and whether that is still what was deployed."""

from __future__ import annotations

import collections
import json
from typing import TYPE_CHECKING, Any

import docker.errors

from ops import cluster, cluster_status, engine, gitlab
from ops.recover import CONTAINER
from ops.stack import Stack, open_stack
from ops.toolchain import console

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from docker.models.containers import Container

CONTROLLER, RUNNER = "::jenkins-controller", "::gitlab-runner-container"
MAIN = (CONTROLLER, RUNNER)
"""How the address of a Docker stack's main container ends in a state: Jenkins', or a GitLab Runner's."""
CONTROLLER_USER = "1000"
INSIDE_SECONDS = 20
"""How long the jobs' engine may take to answer Jenkins' docker client."""
WORDY = frozenset({"next", "images", "builds", "containerdHosts", "sidecars", "retainedVolumes"})
"""Outputs that are no line of a table, or that each build's own line tells."""


def show(named: str | None) -> int:
    """Print a stack's status to stdout. Returns 0 if it is up and well, 1 if not."""
    stack = open_stack(named)
    where = (
        ".local/state" if stack.owns_backend else stack.env.get("PULUMI_BACKEND_URL") or "the backend of your log-in"
    )
    rows: list[tuple[str, str]] = [("stack", f"{stack.name} (state in {where})")]
    deployment = json.loads(stack.ask("stack", "export"))["deployment"] or {}
    rows.append(("last update", _last_update(stack)))
    rows += resource_rows(deployment)
    well, more = (_on_cluster if stack.platform == "kubernetes" else _runtime)(stack, deployment)
    # The rows say what to type in general; here it has to act on this stack.
    up = stack.make("up")
    console.table((title, said.replace("`make up`", f"`{up}`")) for title, said in [*rows, *more])
    return 0 if well else 1


def _on_cluster(stack: Stack, deployment: Mapping[str, Any]) -> tuple[bool, list[tuple[str, str]]]:
    """How the registry and the builds are, and whether all of them are well."""
    resources = deployment.get("resources") or []
    if not resources:
        return False, [("cluster", "nothing is deployed; `make up` deploys it")]
    there = cluster.Cluster(cluster.of(stack))
    found = list(cluster_status.rows(there, stack.settings, resources, _outputs(deployment)))
    return all(well for _, _, well in found), [(title, said) for title, said, _ in found]


def resource_rows(deployment: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a stack's state holds: how many resources of which kinds, what is half done, its outputs."""
    resources = [entry for entry in deployment.get("resources") or [] if not entry["type"].startswith("pulumi:")]
    names = sorted(f"{entry['type'].rsplit(':', 1)[-1]} {entry['urn'].rsplit('::', 1)[-1]}" for entry in resources)
    rows = [("resources", _kinds(resources) or ", ".join(names) or "none")]
    pending = deployment.get("pending_operations") or []
    if pending:
        rows.append(("half done", f"{len(pending)} operations of a Pulumi that was killed; `make recover` cleans up"))
    for key, value in _outputs(deployment).items():
        if value not in (None, "", [], {}) and key not in WORDY:
            # A secret comes as a mapping with Pulumi's mark in it; what it holds is in cipher.
            rows.append((key, "[secret]" if isinstance(value, dict) and "ciphertext" in value else str(value)))
    return rows


def _kinds(resources: Sequence[Mapping[str, Any]]) -> str:
    """Kubernetes' resources by kind, since there are dozens: "3 Job, 2 Namespace". Empty where there are none."""
    kinds = (str(entry["type"]).rsplit(":", 1)[-1] for entry in resources if entry["type"].startswith("kubernetes:"))
    return ", ".join(f"{count} {kind}" for kind, count in collections.Counter(sorted(kinds)).most_common())


def _outputs(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """The stack's outputs, as its state has them."""
    stacks = (entry for entry in deployment.get("resources") or [] if entry["type"] == "pulumi:pulumi:Stack")
    return next((entry.get("outputs") or {} for entry in stacks), {})


def _last_update(stack: Stack) -> str:
    found = json.loads(stack.ask("stack", "history", "--json", "--page-size", "1"))
    if not found:
        return "none yet"
    last = found[0]
    return f"{last['kind']} {last['result']}, ended {last.get('endTime') or 'not yet'}"


def _runtime(stack: Stack, deployment: Mapping[str, Any]) -> tuple[bool, list[tuple[str, str]]]:
    """How the containers are that the state speaks of, and whether all are well."""
    deployed = [entry for entry in deployment.get("resources") or [] if entry["type"] == CONTAINER]
    if not any(entry["urn"].endswith(MAIN) for entry in deployed):
        return False, [("container", "not deployed; `make up` deploys it")]
    host = stack.settings.docker.host
    wells, rows = [], []
    try:
        there = engine.client(stack.settings)
    except engine.ERRORS as failed:
        return False, [("engine", f"{host} does not answer ({failed}); `make doctor` says more")]
    # What it needs comes first: a controller that can't reach its engine is explained by the row above it.
    for entry in sorted(deployed, key=lambda entry: entry["urn"].endswith(MAIN)):
        name = (entry.get("outputs") or {}).get("name", "")
        role = entry["urn"].rpartition("::")[2].removesuffix("-container")
        title = "container" if entry["urn"].endswith(MAIN) else role
        try:
            container = there.containers.get(name)
        except docker.errors.NotFound:
            well, more = False, [(title, f"{name} is gone from the engine at {host}; `make up` brings it back")]
        except docker.errors.DockerException as failed:
            return False, [(title, f"the engine at {host} does not answer ({failed}); `make doctor` says more")]
        else:
            well, more = (_main if title == "container" else _besides)(title, container, entry)
        wells.append(well)
        rows += more
    return all(wells), rows


def _how(container: Container) -> tuple[bool, str]:
    """Whether a container is well, and how it is in words."""
    state = container.attrs["State"]
    health = (state.get("Health") or {}).get("Status", "no health check")
    well = state["Status"] == "running" and health in {"healthy", "no health check"}
    return well, f"{container.name}: {state['Status']}, {health}, since {state['StartedAt'][:19]}Z"


def _besides(title: str, container: Container, deployed: Mapping[str, Any]) -> tuple[bool, list[tuple[str, str]]]:
    """How a container is that Jenkins needs, such as an engine of its own."""
    well, said = _how(container)
    drift = drifted(container.attrs, deployed)
    more = f"; {'; '.join(drift)}; `make up` heals it" if drift else ""
    privileged = ", privileged" if container.attrs["HostConfig"].get("Privileged") else ""
    return well and not drift, [(title, f"{said}{privileged}{more}")]


def _main(title: str, container: Container, deployed: Mapping[str, Any]) -> tuple[bool, list[tuple[str, str]]]:
    """How Jenkins is, or a GitLab Runner, and whether it can do its work."""
    well, said = _how(container)
    config, host_config = container.attrs["Config"], container.attrs["HostConfig"]
    groups = ", ".join(host_config.get("GroupAdd") or []) or "none"
    rows = [
        (title, said),
        ("runs as", f"user {config.get('User') or 'root'}, further groups {groups}"),
    ]
    if container.attrs["State"]["Status"] == "running":
        fit, row = (_known if deployed["urn"].endswith(RUNNER) else _drives)(container)
        well = well and fit
        rows.append(row)
    drift = drifted(container.attrs, deployed)
    rows.append(
        (
            "drift",
            "; ".join(drift) + "; `make up` heals it" if drift else "none seen; `make preview` compares everything",
        )
    )
    return well and not drift, rows


def _known(container: Container) -> tuple[bool, tuple[str, str]]:
    """Whether GitLab knows a runner."""
    well, said = gitlab.known(container.exec_run)
    return well, ("GitLab", said)


def _drives(container: Container) -> tuple[bool, tuple[str, str]]:
    """What the whole set-up is for: whether the plain user inside, with no help from root, drives the jobs' engine."""
    # The client itself waits for ever for an engine that takes the connection and says nothing, and so would the SDK.
    words = ["timeout", str(INSIDE_SECONDS), "docker", "version", "--format", "{{.Server.Version}}"]
    code, answer = container.exec_run(words, user=CONTROLLER_USER)
    text = answer.decode(errors="replace").strip() if isinstance(answer, bytes) else ""
    said = (
        f"version {text}, as user {CONTROLLER_USER}"
        if code == 0
        else f"not reachable: {text or f'no word from it within {INSIDE_SECONDS} s'}"
    )
    return code == 0, ("engine from inside", said)


def drifted(seen: Mapping[str, Any], deployed: Mapping[str, Any]) -> list[str]:
    """The plain signs that a container is not what was deployed.

    Args:
        seen: the engine's `inspect` of it.
        deployed: the resource in the state.
    """
    outputs = deployed.get("outputs") or {}
    signs = []
    if deployed.get("id") and deployed["id"] != seen["Id"]:
        signs.append("another container has its name")
    if outputs.get("mustRun", True) and seen["State"]["Status"] != "running":
        signs.append(f"it is {seen['State']['Status']}")
    wanted = {str(group) for group in outputs.get("groupAdds") or []}
    if wanted != {str(group) for group in seen["HostConfig"].get("GroupAdd") or []}:
        signs.append("its groups were changed")
    return signs
