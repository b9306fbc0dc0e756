"""`status`: what a stack deployed, how it is now, and whether that is still what was deployed."""

# ruff: noqa: PLC0415 - imported late: what a quiet `make up` does not need is not to cost it time

from __future__ import annotations

import collections
import json
from typing import TYPE_CHECKING, Any

from ops import choice, deploy, engine, gitlab, run, stackfile
from ops.recover import CONTAINER
from ops.toolchain import console

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from docker.models.containers import Container

    from ops.local import Workspace

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
    workspace = deploy.open_workspace(named)
    stack = named or choice.remembered(workspace.clone)
    rows: list[tuple[str, str]] = [("stack", f"{stack} ({_backend(workspace)})")]
    if not workspace.exists(stack):
        well = False
        rows.append(("deployed", "nothing; `make up` deploys it"))
    else:
        settings = workspace.settings(stack)
        deployment = json.loads(run.answer(workspace, ["stack", "export", "--stack", stack]))["deployment"]
        rows.append(("last update", _last_update(workspace, stack)))
        rows += resource_rows(deployment)
        on_cluster = stackfile.platform(settings) == "kubernetes"
        well, more = (
            _on_cluster(workspace, deployment, settings) if on_cluster else _runtime(workspace, stack, deployment)
        )
        rows += more
    console.table((title, choice.with_stack(workspace.clone, stack, said)) for title, said in rows)
    return 0 if well else 1


def _on_cluster(
    workspace: Workspace, deployment: Mapping[str, Any], settings: dict[str, Any]
) -> tuple[bool, list[tuple[str, str]]]:
    """How the registry and the builds are, and whether all of them are well."""
    from ops import cluster, cluster_status

    resources = deployment.get("resources") or []
    if not resources:
        return False, [("cluster", "nothing is deployed; `make up` deploys it")]
    there = cluster.Cluster(cluster.of(workspace.clone, settings))
    found = list(cluster_status.rows(there, settings, resources, _outputs(deployment)))
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


def _last_update(workspace: Workspace, stack: str) -> str:
    found = json.loads(run.answer(workspace, ["stack", "history", "--json", "--page-size", "1", "--stack", stack]))
    if not found:
        return "none yet"
    last = found[0]
    return f"{last['kind']} {last['result']}, ended {last.get('endTime') or 'not yet'}"


def _runtime(workspace: Workspace, stack: str, deployment: Mapping[str, Any]) -> tuple[bool, list[tuple[str, str]]]:
    """How the containers are that the state speaks of, and whether all are well."""
    settings = workspace.settings(stack)
    if stackfile.platform(settings) != "docker":
        return bool(deployment.get("resources")), []
    deployed = [entry for entry in deployment.get("resources") or [] if entry["type"] == CONTAINER]
    if not any(entry["urn"].endswith(MAIN) for entry in deployed):
        return False, [("container", "not deployed; `make up` deploys it")]
    import docker

    host = choice.docker_host(settings)
    wells, rows = [], []
    try:
        there = engine.client(workspace, stack)
    except (docker.errors.DockerException, OSError) as failed:
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


def _backend(workspace: Workspace) -> str:
    if workspace.owns_backend:
        return "state in .local/state"
    return f"state in {workspace.env.get('PULUMI_BACKEND_URL') or 'the backend that pulumi is logged in to'}"
