"""What must hold between the settings of the way to the jobs' engine."""

from collections.abc import Iterator
from typing import Final

from components.settings import proxy_checks
from components.settings.model import DockerSettings, Settings
from components.settings.problems import Problem

_ROOT: Final = {
    "socket": "whoever can use the engine's socket is root on its host (CIS Docker Benchmark 5.32)",
    "proxy": "whoever can start containers on a host may become root there, and a proxy that filters is no sandbox",
    "dind": "the engine beside Jenkins is privileged, and whoever can use it is root on its host (CIS 5.4)",
}
"""Why each access needs to be accepted, as the rest of a sentence that begins with "but"."""

_LESS_THAN_PRIVILEGED: Final = (
    "an engine needs SYS_ADMIN, with which whoever can use it breaks out and is root on its host"
)

_OF_SOCKET: Final = {"socket_path": "socketPath", "socket_group": "socketGroup"}
"""Settings of the host engine's socket, which two accesses read."""


def between(settings: Settings) -> Iterator[Problem]:
    """Give every problem that lies between two settings of `ci:docker`, or between it and another key."""
    docker = settings.docker
    if not docker.accept_root_on_host:
        less = docker.access == "dind" and not docker.dind.privileged
        yield Problem(
            key="ci:docker.acceptRootOnHost",
            value=False,
            wrong=f"but {_LESS_THAN_PRIVILEGED if less else _ROOT[docker.access]}",
            instead="accept that for Jenkins and all its jobs with acceptRootOnHost: true",
        )
    yield from _other_access(docker)
    yield from _dind(settings)
    yield from proxy_checks.between(settings)


def _other_access(docker: DockerSettings) -> Iterator[Problem]:
    """Give what only another access would read."""
    only: dict[str, tuple[str, tuple[str, ...]]] = {
        access: (access, (access,)) for access in _ROOT if access in DockerSettings.model_fields
    }
    only |= {field: (key, ("socket", "proxy")) for field, key in _OF_SOCKET.items()}
    for field, (key, accesses) in only.items():
        if docker.access not in accesses and field in docker.model_fields_set:
            yield Problem(
                key=f"ci:docker.{key}",
                wrong=f"is for access: {' or '.join(accesses)}, and this stack's is {docker.access}",
                instead=f"leave it out, or write access: {accesses[0]}",
            )


def _dind(settings: Settings) -> Iterator[Problem]:
    dind = settings.docker.dind
    if dind.privileged:
        for field, key in {"capabilities": "capabilities", "security_options": "securityOptions"}.items():
            if field in dind.model_fields_set:
                yield Problem(
                    key=f"ci:docker.dind.{key}",
                    wrong="has no effect on a privileged container, which has everything",
                    instead="write privileged: false beside it, or leave it out",
                )
    elif "SYS_ADMIN" not in dind.capabilities:
        yield Problem(
            key="ci:docker.dind.capabilities",
            value=list(dind.capabilities),
            wrong="lacks SYS_ADMIN, without which an engine can't mount what its containers run from",
            instead="give it, for example capabilities: [SYS_ADMIN, NET_ADMIN]",
        )
    if settings.docker.access == "dind" and dind.container_name == settings.jenkins.container_name:
        yield Problem(
            key="ci:docker.dind.containerName",
            value=dind.container_name,
            wrong="is ci:jenkins.containerName too",
            instead="give each its own, for example jenkins-docker",
        )
