"""`status`: what a stack deployed, how it is now, and whether that is still what was deployed."""

import collections
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import docker.errors
from docker.models.containers import Container

from components.state import NAME
from ops import clone, cluster, engine, finding, gitlab, recover
from ops.finding import Finding
from ops.recover import CONTAINER
from ops.stack import Stack, open_stack
from setup.console import OpsError
from setup.engine import ERRORS

CONTROLLER, RUNNER, AGENT = "jenkins-controller", "gitlab-runner-container", re.compile(r"[:-]agents-\d+$")
MAIN = (CONTROLLER, RUNNER)
"""How the address of a Docker stack's main container ends in a state: Jenkins', or a GitLab Runner's."""
CONTROLLER_USER = "1000"
INSIDE_SECONDS = 20
"""How long the jobs' engine may take to answer Jenkins' docker client."""
ASK_ENGINE = f"""\
docker version --format '{{{{.Server.Version}}}}' & client=$!
(sleep {INSIDE_SECONDS}; kill $client) > /dev/null 2>&1 & timer=$!
wait $client; status=$?; kill $timer 2> /dev/null; exit $status"""
"""Asks in limited time, also where the image has no `timeout`. The client itself would wait for ever for an engine that
takes the connection and says nothing, and so would the SDK."""
WORDY = frozenset({"next", "jobs", "images", "builds", "containerdHosts", "sidecars", "retainedVolumes"})
"""Outputs that are no line of a table, or that each build's own line tells."""


def show(named: str | None, *, as_json: bool = False) -> int:
    """Print a stack's status to stdout. Returns 0 if all is in order, 1 if something needs a person, 2 if unknown.

    as_json: as a `finding.Report`, also of a stack that can't be looked at.
    """
    here = clone.here()
    name = named or here.chosen

    def make(verb: str) -> str:
        return here.make(verb, name)

    found: list[Finding] = []
    try:
        found += examine(open_stack(named))
    except OpsError as error:
        if not as_json:
            raise OpsError(error.what, error.remedy, code=2) from error
        found.append(Finding("status", error.what, "unknown", error.remedy))
    if not as_json:
        return finding.show(found, make)
    print(finding.report(name, found, make).model_dump_json(indent=2))  # noqa: T201 - the answer
    return finding.code(found)


def examine(stack: Stack) -> Iterator[Finding]:
    """Look at the stack's state, and at what runs."""
    backend = stack.env.get("PULUMI_BACKEND_URL") or "the backend of your log-in"
    yield Finding("stack", f"{stack.name} (state in {'.local/state' if stack.owns_backend else backend})")
    deployment = stack.deployment()
    updates = json.loads(stack.ask("stack", "history", "--json", "--page-size", "1"))
    last = [f"{each['kind']} {each['result']}, ended {each.get('endTime') or 'not yet'}" for each in updates]
    yield Finding("last update", last[0] if last else "none yet")
    if running := recover.running(stack):
        yield Finding("update", f"under way, so what is below changes: {running}", "note")
        deployment.pop("pending_operations", None)  # its own
    elif left := recover.remains(stack):
        yield Finding("update", f"ended early, and left {left}", "BAD", "`make recover` cleans up")
    yield from in_state(deployment)
    if stack.platform != "kubernetes":
        yield from _containers(stack, deployment)
    elif resources := deployment.get("resources"):
        from ops import cluster_status  # noqa: PLC0415 - imports the official client

        for found in cluster_status.examine(cluster.reader(stack), stack.settings, resources, _outputs(deployment)):
            # An update deletes a changed build's Job before it makes the new one.
            unsettled = running and found.mark == "BAD" and found.name.startswith("build ")
            yield Finding(found.name, "not done yet in the update that is under way", "note") if unsettled else found
    else:
        yield Finding("cluster", "nothing is deployed; `make up` deploys it", "BAD")


def in_state(deployment: Mapping[str, Any]) -> Iterator[Finding]:
    """Find what a stack's state holds: how many resources of which kinds, what is half done, its outputs."""
    whole = deployment.get("resources") or []
    resources = [entry for entry in whole if not entry["type"].startswith(("pulumi:", "ci:"))]
    kinds = collections.Counter(sorted(str(entry["type"]).rsplit(":", 1)[-1] for entry in resources))
    yield Finding("resources", ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()) or "none")
    if pending := deployment.get("pending_operations"):
        seen = f"{len(pending)} operations of a Pulumi that was killed; `make recover` cleans up"
        yield Finding("half done", seen, "note")
    for key, value in _outputs(deployment).items():
        if value not in (None, "", [], {}) and key not in WORDY:
            # A secret comes as a mapping with Pulumi's mark in it; what it holds is in cipher.
            yield Finding(key, "[secret]" if isinstance(value, dict) and "ciphertext" in value else str(value))


def _outputs(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """The stack's outputs, as its state has them."""
    stacks = (entry for entry in deployment.get("resources") or [] if entry["type"] == "pulumi:pulumi:Stack")
    return next((entry.get("outputs") or {} for entry in stacks), {})


def _containers(stack: Stack, deployment: Mapping[str, Any]) -> Iterator[Finding]:
    """Find how the containers are that the state speaks of."""
    deployed = [entry for entry in deployment.get("resources") or [] if entry["type"] == CONTAINER]
    if not any(entry["urn"].endswith(MAIN) for entry in deployed):
        yield Finding("container", "not deployed; `make up` deploys it", "BAD")
        return
    host = stack.settings.docker.host
    try:
        there = engine.client(stack.settings)
        on_agents = any(AGENT.search(entry["urn"]) for entry in deployed)
        # What it needs comes first: a controller that can't reach its engine is explained by the row above it.
        for entry in sorted(deployed, key=lambda entry: entry["urn"].endswith(MAIN)):
            name, main = (entry.get("outputs") or {}).get("name", ""), entry["urn"].endswith(MAIN)
            title = entry["urn"].rpartition("::")[2].removeprefix(f"{NAME}-").removesuffix("-container")
            title = "container" if main else title
            try:
                container = there.containers.get(name)
            except docker.errors.NotFound:
                yield Finding(title, f"{name} is gone from the engine at {host}; `make up` brings it back", "BAD")
                continue
            yield how(title, container, entry)
            drives = AGENT.search(entry["urn"]) if on_agents else main
            if drives and container.attrs["State"]["Status"] == "running":
                yield works(container, runner=entry["urn"].endswith(RUNNER))
            if entry["urn"].endswith(CONTROLLER) and container.health == "healthy":
                from ops import jenkins  # noqa: PLC0415 - imports Jenkins' client

                yield from jenkins.examine(stack, _outputs(deployment))
    except ERRORS as failed:
        yield Finding("engine", f"{host} does not answer ({failed}); `make doctor` says more", "unknown")


def how(title: str, container: Container, deployed: Mapping[str, Any]) -> Finding:
    """Find how a container is, as whom it runs, and the plain signs that it is not what was deployed.

    deployed: the resource in the state.
    """
    state, host_config, outputs = container.attrs["State"], container.attrs["HostConfig"], deployed.get("outputs") or {}
    health = (state.get("Health") or {}).get("Status", "no health check")
    user = container.attrs["Config"].get("User") or "root"
    groups, wanted = host_config.get("GroupAdd") or [], map(str, outputs.get("groupAdds") or [])
    privileged = ", privileged" if host_config.get("Privileged") else ""
    seen = f"{container.name}: {state['Status']}, {health}, since {state['StartedAt'][:19]}Z, user {user}"
    seen += f", further groups {', '.join(groups) or 'none'}{privileged}"
    signs = [] if deployed.get("id") in {None, container.id} else ["another container has its name (remove it first)"]
    signs += [] if {*groups} == {*wanted} else ["its groups were changed"]
    runs = state["Status"] == "running"
    well = runs and health in {"healthy", "no health check"} and not signs
    # Pulumi's plugin takes a paused container for one that runs.
    mend = f"To let it go on: docker unpause {container.name}" if state["Status"] == "paused" else "`make up` mends it"
    return Finding(title, "; ".join([seen, *signs]), "ok" if well else "BAD", "" if runs and not signs else mend)


def works(container: Container, *, runner: bool) -> Finding:
    """Find whether GitLab knows a runner, or whether Jenkins' user, with no help from root, drives the jobs' engine."""
    if runner:
        done: Any = container.exec_run(gitlab.VERIFY)
        return gitlab.known(done[1].decode(errors="replace"))
    code, answer = container.exec_run(["sh", "-c", ASK_ENGINE], user=CONTROLLER_USER)
    text = answer.decode(errors="replace").strip() if isinstance(answer, bytes) else ""
    if code == 0:
        return Finding("engine from inside", f"version {text}, as user {CONTROLLER_USER}")
    seen = f"not reachable: {text or f'no answer within {INSIDE_SECONDS} s'}"
    return Finding("engine from inside", seen, "BAD")
