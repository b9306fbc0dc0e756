"""The rules between the settings of how jobs reach a Docker engine."""

import re
from collections.abc import Iterator
from typing import Final

from pydantic import SecretStr

from .engines import TlsFiles
from .model import Settings
from .problems import Problem, no_effect, required

_ROOT: Final = {
    "socket": "anyone who can use the Docker socket has root on the host (CIS Docker Benchmark 5.32)",
    "proxy": "anyone who can start containers on a host may get root there, and a proxy that filters is no sandbox",
    "tcp": "anyone who can use the engine that ci:docker.tcp names has root on its host",
    "dind": "the engine beside Jenkins is privileged, and anyone who can use it has root on its host (CIS 5.4)",
}
"""Why each access has to be confirmed."""

_LESS_THAN_PRIVILEGED: Final = "an engine needs SYS_ADMIN, with which anyone who can use it can get root on its host"

_READ_BY: Final = {
    "socket_path": ("socketPath", ("socket", "proxy")),
    "socket_group": ("socketGroup", ("socket", "proxy")),
    **{access: (access, (access,)) for access in ("proxy", "dind", "tcp")},
}
"""Fields that only some accesses read: the key, and the accesses."""

_OLDEST_HAPROXY: Final = (3, 0)
"""The first that lets `docker exec` take its connection over, beside late releases of 2.x. Source: the issue 2684 of
haproxy/haproxy."""


def between(settings: Settings) -> Iterator[Problem]:
    """Return every problem between two settings of `ci:docker`, or between it and another key."""
    docker, runner = settings.docker, settings.gitlab_runner is not None
    # A runner always has the host's own socket; gitlab_checks refuses another access beside it.
    access = "socket" if runner else docker.access
    if not docker.accept_root_on_host:
        less = access == "dind" and not docker.dind.privileged
        yield Problem(
            "ci:docker.acceptRootOnHost",
            "not_confirmed",
            f"must be true: {_LESS_THAN_PRIVILEGED if less else _ROOT[access]}",
            f"accept it for {'the GitLab Runner' if runner else 'Jenkins'} and all its jobs by acceptRootOnHost: true",
        )
    yield from _host_certificates(settings)
    if runner:
        return
    for field, (key, accesses) in _READ_BY.items():
        if docker.access not in accesses and field in docker.model_fields_set:
            instead = f"remove it, or write access: {accesses[0]}"
            yield no_effect(f"ci:docker.{key}", f"with access: {docker.access}", instead)
    if docker.access == "tcp" and docker.tcp is None:
        example = "tcp: {host: tcp://builder.example.org:2376, caFile: ca.pem, certificateFile: cert.pem}"
        yield required("ci:docker.tcp", "by access: tcp", f"give {example}")
    yield from _key("ci:docker.tcp", docker.tcp, "ci:tcpTlsKey", settings.tcp_tls_key)
    yield from _dind(settings)
    if docker.access == "proxy":
        yield from _proxy(settings)


def _host_certificates(settings: Settings) -> Iterator[Problem]:
    docker = settings.docker
    on_tcp = docker.host.startswith("tcp://")
    if on_tcp and docker.tls is None:
        yield required(
            "ci:docker.tls",
            "by a host on TCP: an engine that asks for no client certificate gives root to anyone",
            "give tls: {caFile: docker/ca.pem, certificateFile: docker/cert.pem} and ci:dockerTlsKey",
        )
    if not on_tcp and docker.tls is not None:
        yield no_effect("ci:docker.tls", f"on {docker.host}", "write host: tcp://name:2376 beside it, or remove it")
    yield from _key("ci:docker.tls", docker.tls, "ci:dockerTlsKey", settings.docker_tls_key)


def _key(section: str, files: TlsFiles | None, secret_key: str, secret: SecretStr | None) -> Iterator[Problem]:
    """Check that a certificate's key is in one place: a file or a secret."""
    if files is None:
        if secret is not None:
            yield no_effect(secret_key, f"without {section}", f"give both, or run `pulumi config rm {secret_key}`")
    elif files.key_file is None and secret is None:
        instead = f"set it with `pulumi config set --secret {secret_key} < key.pem`, or give keyFile"
        yield required(secret_key, f"by {section}", instead)
    elif files.key_file is not None and secret is not None:
        instead = f"remove it, or run `pulumi config rm {secret_key}`"
        yield Problem(f"{section}.keyFile", "conflict", f"gives a second key besides {secret_key}", instead)


def _dind(settings: Settings) -> Iterator[Problem]:
    dind = settings.docker.dind
    if dind.privileged:
        for field, key in {"capabilities": "capabilities", "security_options": "securityOptions"}.items():
            if field in dind.model_fields_set:
                instead = "write privileged: false beside it, or remove it"
                yield no_effect(f"ci:docker.dind.{key}", "on a privileged container", instead)
    elif "SYS_ADMIN" not in dind.capabilities:
        yield Problem(
            "ci:docker.dind.capabilities",
            "conflict",
            "lacks SYS_ADMIN, without which an engine cannot mount the files of its containers",
            "add it, for example capabilities: [SYS_ADMIN, NET_ADMIN, SYS_PTRACE]",
            list(dind.capabilities),
        )


def _proxy(settings: Settings) -> Iterator[Problem]:
    proxy = settings.docker.proxy
    found = re.search(r"(?:^|/)haproxy:(\d+)\.(\d+)", proxy.image)
    if found and (int(found[1]), int(found[2])) < _OLDEST_HAPROXY:
        yield Problem(
            key="ci:docker.proxy.image",
            value=proxy.image,
            code="too_old",
            wrong='is too old: through it `docker exec` ends with "unable to upgrade to tcp"',
            instead=f"give {'.'.join(map(str, _OLDEST_HAPROXY))} or newer, for example haproxy:3.2.21-alpine",
        )
