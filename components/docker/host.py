"""The Docker host: the provider of its engine, and the preflight of what is on it already."""

import errno
import ipaddress
import os
import shlex
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pulumi
import pulumi_docker as docker

from .. import certificates, labels
from ..jenkins import configuration
from ..settings import JenkinsSettings, NotAcceptedError, Problem, Settings
from ..settings.docker import PLUGIN_VARIABLES
from ..settings.problems import HIDDEN
from ..state import Resources
from . import access, managed_names, tls, tls_preflight
from .access import host_socket
from .engine import Engine, EngineError
from .managed_names import Own


def provider(name: str, settings: Settings, opts: pulumi.ResourceOptions) -> docker.Provider:
    """Register the provider for the host that the settings name; for another host, everything is made there anew.

    Without an explicit one, the plugin would follow DOCKER_HOST, and a stack could move to another host unnoticed.
    """
    endpoint = tls.host(settings)
    client = tls.client(endpoint) if endpoint else None
    return docker.Provider(
        f"{name}-host",
        host=settings.docker.host,
        # All three: with a pair and no authority, the plugin would take any server's word (InsecureSkipVerify).
        ca_material=client.ca if client else None,
        cert_material=client.certificate if client else None,
        key_material=pulumi.Output.secret(client.key) if client else None,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(replace_on_changes=["host"])),
    )


def engine(settings: Settings) -> Engine | None:
    """Return the engine that Jenkins runs on, or None for one behind ssh, which only the plugin can ask."""
    if settings.docker.is_local:
        return Engine.at_socket(settings.docker.host.removeprefix("unix://"))
    endpoint = tls.host(settings)
    if endpoint is None:
        return None
    context = tls.client(endpoint).context()
    return Engine(endpoint.host, lambda: tls.connection(endpoint, context))


def platform(settings: Settings) -> str:
    """Return what the engine's images run on, as `linux/arm64`. Raises EngineError, or NotAcceptedError over ssh."""
    there = engine(settings)
    if there is not None:
        return there.platform()
    ask = "docker version --format '{{.Server.Os}}/{{.Server.Arch}}'"
    return host_socket.over_ssh(settings.docker.host, ask, "give a ready ci:jenkins.image")


def preflight(
    settings: Settings, *, project: str, stack: str, state: Resources, environment: Mapping[str, str] = os.environ
) -> Iterator[Problem]:
    """Return what blocks the deployment on the host, before anything is made there.

    state: what the last update left of the CI.

    Checks the plugin's environment, the stack's own names, the access mode and the certificates first. Then it asks the
    engine, unless that is behind ssh, for its containers, for the names that the stack uses, and for Jenkins' ports.
    """
    endpoint, runner = tls.host(settings), settings.gitlab_runner
    found = [
        *_environment(settings.docker.host, environment),
        *managed_names.twice(settings),
        *(tls_preflight.preflight(endpoint) if endpoint else ()),
        *access.of(settings.docker).preflight(settings),
        *(certificates.chain("ci:gitlabRunner.caFile", runner.ca_file)[1] if runner and runner.ca_file else ()),
        *configuration.problems(settings),
    ]
    yield from found
    there = None if found else engine(settings)
    if there is None:
        yield from () if found else _over_ssh(settings)
        return
    own = managed_names.Own.of(project, stack, state)
    try:
        containers = there.containers()
        yield from managed_names.conflicts(managed_names.of(settings), there, containers, own)
        if runner is None:
            yield from _half_restored(settings.jenkins.home_volume, there, containers, own)
    except EngineError as error:
        yield Problem(
            "ci:docker.host",
            "unreachable",
            f"cannot be used: {error}",
            "start the engine (`systemctl start docker`), and check that `docker version` works for this user",
            settings.docker.host,
        )
        return
    if runner is None:
        yield from _jenkins(settings.jenkins, containers, own, local=settings.docker.is_local)


def _half_restored(volume: str, engine: Engine, containers: Sequence[Mapping[str, Any]], own: Own) -> Iterator[Problem]:
    """Return a problem for a home that a restore began and did not finish. Jenkins would start on the half of it."""
    mark = ((engine.volume(volume) or {}).get("Labels") or {}).get(labels.RESTORE)
    users = [each for each in containers if any(mount.get("Name") == volume for mount in each.get("Mounts", ()))]
    # What the stack deployed on it was asked for then.
    if any(own.made("container", each["Names"][0].removeprefix("/"), each.get("Labels")) for each in users):
        return
    if mark and not engine.has_file(volume, f"{labels.RESTORED_FILE}{mark}"):
        yield Problem(
            "ci:jenkins.homeVolume",
            "half_restored",
            "is the name of a volume with an unfinished restore",
            f"run it again (`make restore STACK={own.stack} FILE=...`), or remove it (`docker volume rm {volume}`)",
            volume,
        )


def _environment(host: str, environment: Mapping[str, str]) -> Iterator[Problem]:
    """Return a problem for each variable that leads the plugin to another engine, or to another way of asking."""
    for name in PLUGIN_VARIABLES:
        value = environment.get(name)
        if not value or (name, value) == ("DOCKER_HOST", host):
            continue
        instead = f"run `unset {name}`: the stack's engine is {host}, and only ci:docker.host chooses another"
        if name == "DOCKER_HOST":
            instead += f", for example by `pulumi config set --path ci:docker.host {shlex.quote(value)}`"
        elif name == "DOCKER_SSH_OPTS":
            instead += "; write options of ssh into ~/.ssh/config"
        shown = HIDDEN if name.endswith("_MATERIAL") else value
        yield Problem(
            name, "conflict", "is set in the environment, and Pulumi's Docker plugin reads it", instead, shown
        )


def _over_ssh(settings: Settings) -> Iterator[Problem]:
    """Return what is wrong if the engine's platform, which a built image needs, can't be found out."""
    if settings.gitlab_runner is None and settings.jenkins.image is None:
        try:
            platform(settings)
        except NotAcceptedError as error:
            yield Problem("ci:docker.host", error.code, error.wrong, error.instead, settings.docker.host)


def _jenkins(
    jenkins: JenkinsSettings, containers: Sequence[Mapping[str, Any]], own: Own, *, local: bool
) -> Iterator[Problem]:
    reason = _bind(jenkins.bind_address, 0) if local else None
    if reason is not None:
        yield Problem(
            "ci:jenkins.bindAddress",
            "address_not_on_host",
            f"is not an address of this host ({os.strerror(reason)})",
            "give one that `ip -brief address` lists, for example 127.0.0.1",
            jenkins.bind_address,
        )
    for key, port in (("httpPort", jenkins.http_port), ("agentPort", jenkins.agent_port)):
        if port is not None:
            yield from _port(f"ci:jenkins.{key}", port, jenkins.bind_address, containers, own, local=local)
    if jenkins.docker_client == "host" and local and shutil.which(jenkins.docker_client_path) is None:
        yield Problem(
            "ci:jenkins.dockerClientPath",
            "not_found",
            "is not an executable on this host",
            "give the path that `command -v docker` prints, or write dockerClient: image",
            jenkins.docker_client_path,
        )


def _port(  # noqa: PLR0913 - two by keyword
    key: str, port: int, address: str, containers: Sequence[Mapping[str, Any]], own: Own, *, local: bool
) -> Iterator[Problem]:
    holders = [container for container in containers if _publishes(container, port, address)]
    if any(own.made("container", holder["Names"][0].removeprefix("/"), holder.get("Labels")) for holder in holders):
        return
    if holders:
        name = holders[0]["Names"][0].removeprefix("/")
        who, free = f"the container {name}", f"stop it (`docker stop {name}`)"
    elif local and _bind(address, port) == errno.EADDRINUSE:
        who, free = "another process", f"stop it (`ss -ltnp 'sport = :{port}'` shows it)"
        # An engine that was killed while it started a container may leave the process that forwards its port.
        idle = [each["Names"][0].removeprefix("/") for each in containers if each.get("State") in {"created", "exited"}]
        if left := sorted(name for kind, name in own.names if kind == "container" and name in idle):
            free += (
                f". If that is docker-proxy, a killed engine left it: `docker rm -f {left[0]}`, and restart the engine"
            )
    else:
        return
    other = port + 1 if port < 65535 else 8080  # noqa: PLR2004
    yield Problem(
        key,
        "port_in_use",
        f"is in use on {address} by {who}",
        f"give another port, for example {other}, or {free}",
        port,
    )


def _publishes(container: Mapping[str, Any], port: int, address: str) -> bool:
    wanted = ipaddress.ip_address(address)
    for published in container.get("Ports", ()):
        if published.get("PublicPort") == port and published.get("Type") == "tcp":
            held = ipaddress.ip_address(published.get("IP") or "0.0.0.0")  # noqa: S104 - what the engine leaves out
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
