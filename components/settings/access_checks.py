"""What must hold between the settings of the way to the jobs' engine."""

from collections.abc import Iterator
from typing import Final

from components.settings import proxy_checks
from components.settings.model import DockerSettings, Settings
from components.settings.problems import Problem

_ROOT: Final = {
    "socket": "whoever can use the engine's socket is root on its host (CIS Docker Benchmark 5.32)",
    "proxy": "whoever can start containers on a host may become root there, and a proxy that filters is no sandbox",
    "tcp": "whoever can use the engine that ci:docker.tcp names is root on its host",
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
    yield from _certificates(settings)


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


def _certificates(settings: Settings) -> Iterator[Problem]:
    """Give what is missing of the certificates by which an engine on TCP is reached."""
    docker = settings.docker
    on_tcp = docker.host.startswith("tcp://")
    if on_tcp and docker.tls is None:
        yield Problem(
            key="ci:docker.tls",
            wrong="is missing, and an engine that takes clients without certificates gives root to anyone",
            instead="give tls: {caFile: docker/ca.pem, certificateFile: docker/cert.pem} and ci:dockerTlsKey",
        )
    if not on_tcp and docker.tls is not None:
        yield Problem(
            key="ci:docker.tls",
            wrong=f"has no effect on {docker.host}",
            instead="write host: tcp://name:2376 beside it, or leave it out",
        )
    if docker.access == "tcp" and docker.tcp is None:
        yield Problem(
            key="ci:docker.tcp",
            wrong="is missing, and access: tcp is by it",
            instead="give tcp: {host: tcp://builder.example.org:2376, caFile: ca.pem, certificateFile: cert.pem}",
        )
    keys = {
        "ci:docker.tls": (docker.tls, "ci:dockerTlsKey", settings.docker_tls_key),
        "ci:docker.tcp": (docker.tcp, "ci:tcpTlsKey", settings.tcp_tls_key),
    }
    for section, (files, secret_key, secret) in keys.items():
        if files is None and secret is not None:
            yield Problem(
                key=section,
                wrong=f"is missing, and {secret_key} is the key of its certificate",
                instead=f"give both, or remove the secret (`pulumi config rm {secret_key}`)",
            )
        elif files is not None and (files.key_file is None) == (secret is None):
            both = secret is not None
            yield Problem(
                key=f"{section}.keyFile" if both else secret_key,
                wrong="stands beside the secret, and there is one key" if both else "is missing, and so is a keyFile",
                instead=f"leave it out, or remove the secret (`pulumi config rm {secret_key}`)"
                if both
                else f"set it with `pulumi config set --secret {secret_key} < key.pem`, or give its file",
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
            instead="give it, for example capabilities: [SYS_ADMIN, NET_ADMIN, SYS_PTRACE]",
        )
    if settings.docker.access == "dind" and dind.container_name == settings.jenkins.container_name:
        yield Problem(
            key="ci:docker.dind.containerName",
            value=dind.container_name,
            wrong="is ci:jenkins.containerName too",
            instead="give each its own, for example jenkins-docker",
        )
