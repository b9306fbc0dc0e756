"""The Docker host: the provider that speaks to its engine, and a look at what already stands on it."""

import errno
import ipaddress
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pulumi
import pulumi_docker as docker

from components import certificates, labels
from components.docker import access, tls, tls_preflight
from components.docker.engine import Engine, EngineError
from components.docker.managed_names import ManagedName, conflicts
from components.settings import GitlabRunnerSettings, JenkinsSettings, Problem, Settings


def provider(settings: Settings) -> docker.Provider:
    """Register the provider for the host that the settings name, and for no other.

    Without an explicit one, the plugin would follow DOCKER_HOST, and a stack could move to another host unseen.
    """
    endpoint = tls.host(settings)
    if endpoint is None:
        return docker.Provider("host", host=settings.docker.host)
    client = tls.client(endpoint)
    return docker.Provider(
        "host",
        host=endpoint.host,
        # All three: with a pair and no authority, the plugin would take any server's word (InsecureSkipVerify).
        ca_material=client.ca,
        cert_material=client.certificate,
        key_material=pulumi.Output.secret(client.key),
    )


def engine(settings: Settings) -> Engine | None:
    """Give the engine that Jenkins runs on; None for one behind ssh, which is asked by the plugin alone."""
    if settings.docker.is_local:
        return Engine.at_socket(settings.docker.host.removeprefix("unix://"))
    endpoint = tls.host(settings)
    if endpoint is None:
        return None
    context = tls.client(endpoint).context()
    return Engine(endpoint.host, lambda: tls.connection(endpoint, context))


def preflight(settings: Settings, *, project: str, stack: str) -> Iterator[Problem]:
    """Give what on the host stands in the way, before anything is made there.

    Asks the way to the jobs' engine for what is wrong with it, and the engine that Jenkins or a GitLab Runner runs on,
    unless it is behind ssh, for its containers, the names that the stack will use there, and Jenkins' two ports.
    """
    mode = access.of(settings.docker)
    endpoint = tls.host(settings)
    found = [
        *(tls_preflight.preflight(endpoint) if endpoint else ()),
        *mode.preflight(settings),
        *_authorities(settings.gitlab_runner),
    ]
    yield from found
    there = None if found else engine(settings)
    if there is None:
        return
    jenkins, runner = settings.jenkins, settings.gitlab_runner
    me = f"{project}/{stack}"
    names = _jenkins_names(jenkins) if runner is None else _runner_names(runner)
    try:
        containers = there.containers()
        taken = list(conflicts([*names, *mode.managed_names(settings)], there, containers, me))
    except EngineError as error:
        yield Problem(
            key="ci:docker.host",
            value=settings.docker.host,
            wrong=f"cannot be used: {error}",
            instead="start the engine (`systemctl start docker`), and see that `docker version` works for this user",
        )
        return
    yield from taken
    if runner is not None:
        return
    if settings.docker.is_local:
        yield from _address(jenkins)
    yield from _ports(jenkins, containers, me, local=settings.docker.is_local)
    if (
        jenkins.docker_client == "host"
        and settings.docker.is_local
        and not os.access(jenkins.docker_client_path, os.X_OK)
    ):
        yield Problem(
            key="ci:jenkins.dockerClientPath",
            value=jenkins.docker_client_path,
            wrong="is no program on this host",
            instead="give the path that `command -v docker` prints, or write dockerClient: image",
        )


def _jenkins_names(jenkins: JenkinsSettings) -> Iterator[ManagedName]:
    yield ManagedName(
        kind="container",
        name=jenkins.container_name,
        key="ci:jenkins.containerName",
        instead=f"give another name, or remove it first (`docker rm -f {jenkins.container_name}`)",
    )
    if not jenkins.adopt_home:
        yield ManagedName(
            kind="volume",
            name=jenkins.home_volume,
            key="ci:jenkins.homeVolume",
            instead="write adoptHome: true to run Jenkins on what it holds, or give another name: jenkins_home_2",
        )


def _authorities(runner: GitlabRunnerSettings | None) -> Sequence[Problem]:
    if runner is None or runner.ca_file is None:
        return ()
    return certificates.chain("ci:gitlabRunner.caFile", runner.ca_file)[1]


def _runner_names(runner: GitlabRunnerSettings) -> Iterator[ManagedName]:
    yield ManagedName(
        kind="container",
        name=runner.container_name,
        key="ci:gitlabRunner.containerName",
        instead=f"give another name, or remove it first (`docker rm -f {runner.container_name}`)",
    )


def _address(jenkins: JenkinsSettings) -> Iterator[Problem]:
    """Refuse an address that this host does not have. Only the engine can tell that of a remote host."""
    reason = _bind(jenkins.bind_address, 0)
    if reason is not None:
        yield Problem(
            key="ci:jenkins.bindAddress",
            value=jenkins.bind_address,
            wrong=f"is not an address of this host ({os.strerror(reason)})",
            instead="give one that `ip -brief address` lists, for example 127.0.0.1",
        )


def _ports(
    jenkins: JenkinsSettings, containers: Sequence[Mapping[str, Any]], me: str, *, local: bool
) -> Iterator[Problem]:
    for key, port in (("httpPort", jenkins.http_port), ("agentPort", jenkins.agent_port)):
        if port is None:
            continue
        holders = [container for container in containers if _publishes(container, port, jenkins.bind_address)]
        if any(labels.owner(holder.get("Labels")) == me for holder in holders):
            continue
        if holders:
            name = holders[0]["Names"][0].removeprefix("/")
            who, free = f"the container {name}", f"stop it (`docker stop {name}`)"
        elif local and _bind(jenkins.bind_address, port) == errno.EADDRINUSE:
            who, free = "another process", f"stop it (`ss -ltnp 'sport = :{port}'` shows it)"
        else:
            continue
        yield Problem(
            key=f"ci:jenkins.{key}",
            value=port,
            wrong=f"is taken on {jenkins.bind_address} by {who}",
            instead=f"give another port, for example {port + 1 if port < 65535 else 8080}, or {free}",  # noqa: PLR2004
        )


def _publishes(container: Mapping[str, Any], port: int, address: str) -> bool:
    for published in container.get("Ports", ()):
        if published.get("PublicPort") == port and published.get("Type") == "tcp":
            held = ipaddress.ip_address(published.get("IP") or "0.0.0.0")  # noqa: S104 - what the engine leaves out
            wanted = ipaddress.ip_address(address)
            if held == wanted or held.is_unspecified or wanted.is_unspecified:
                return True
    return False


def _bind(address: str, port: int) -> int | None:
    """Listen for a moment; return the error's number if that fails. Port 0 is any free one."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free
            probe.bind((address, port))
    except OSError as error:
        return error.errno  # EACCES: a port below 1024, which is the engine's to open
    return None
