"""Where builds push, where nodes and people pull, and where a BuildKit daemon that stays is."""

import hashlib
from dataclasses import dataclass
from typing import Final

from ..settings import Settings
from .namespaces import of_buildkit

PORT: Final = 5000
"""The registry's port in its pod and on its Service."""

REGISTRY: Final = "registry"
MIRROR: Final = "mirror"
"""Names of the two Services and of the objects behind each."""

BUILDKIT: Final = "buildkit"
"""Name of the daemons' Service and of the objects behind it."""

BUILDKIT_PORT: Final = 1234
"""What BuildKit's documentation uses."""

WEBHOOK: Final = "webhook"
WEBHOOK_PORT: Final = 8080
"""The receiver of git hosts' calls: its Service with the objects behind it, and its port in the pod and there."""


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """How one stack's registry is reached. Each endpoint is `host` or `host:port`."""

    push: str
    """Where builds push and pull: the Service, or the ingress if there is one."""

    pull: str
    """Where nodes and people pull. The images in the output `images` begin with it."""

    mirror: str | None
    """Where builds reach the pull-through mirror; None without one."""

    url: str
    """The URL for people."""

    tls_in_pod: bool
    """Whether the registry itself serves TLS. Behind an ingress it does not."""

    plain: tuple[str, ...]
    """Those of `push` and `mirror` that builds reach over plain HTTP."""


def service(name: str, namespace: str) -> str:
    """Return a Service's name as pods resolve it. It does not depend on the cluster's domain."""
    return f"{name}.{namespace}.svc"


def daemons(settings: Settings) -> tuple[str, ...]:
    """Return the addresses of the BuildKit daemons that stay; none without `ci:buildkit`."""
    count = settings.buildkit.replicas if settings.buildkit is not None else 0
    host = service(BUILDKIT, of_buildkit(settings.kubernetes.namespace))
    return tuple(f"tcp://{BUILDKIT}-{replica}.{host}:{BUILDKIT_PORT}" for replica in range(count))


def daemon(settings: Settings, build: str) -> str | None:
    """Return the address of the daemon that a build always goes to, since its cache is there; None without one.

    By rendezvous hashing: another number of daemons moves only the builds of those that come or go.
    """
    return max(
        daemons(settings), key=lambda address: hashlib.sha256(f"{build} {address}".encode()).digest(), default=None
    )


def of(settings: Settings) -> Endpoints:
    """Return the endpoints of a stack's registry."""
    registry, namespace = settings.registry, settings.kubernetes.namespace
    inside = f"{service(REGISTRY, namespace)}:{PORT}"
    mirror = f"{service(MIRROR, namespace)}:{PORT}" if registry.mirror else None
    if registry.ingress is not None:
        push = pull = registry.host or inside
    else:
        push = inside
        pull = registry.host or (f"localhost:{registry.node_port}" if registry.node_port else inside)
    tls_in_pod = registry.tls is not None and registry.ingress is None
    plain = [push] if registry.tls is None else []
    if mirror is not None and not tls_in_pod:
        plain.append(mirror)
    scheme = "https" if registry.tls else "http"
    return Endpoints(
        push=push, pull=pull, mirror=mirror, url=f"{scheme}://{pull}", tls_in_pod=tls_in_pod, plain=tuple(plain)
    )


def webhook(settings: Settings) -> str | None:
    """Return the address that git hosts call; None without `ci:webhook`.

    Without a nodePort or an ingress, only the cluster knows the name in it.
    """
    given = settings.webhook
    if given is None:
        return None
    if given.ingress is not None:
        return f"http{'s' if given.tls_secret else ''}://{given.host}/"
    if given.node_port is not None:
        return f"http://{given.host or '<node>'}:{given.node_port}/"
    return f"http://{service(WEBHOOK, settings.kubernetes.namespace)}:{WEBHOOK_PORT}/"


def mirrors(settings: Settings) -> dict[str, str]:
    """Return the mirror's endpoint by each host in an image's name that it serves."""
    mirror, endpoint = settings.registry.mirror, of(settings).mirror
    return dict.fromkeys(mirror.hosts, endpoint) if mirror is not None and endpoint is not None else {}


def names(settings: Settings) -> tuple[str, ...]:
    """Return the names that the registry's certificate must have, without ports."""
    endpoints = of(settings)
    hosts = [endpoints.push, endpoints.pull]
    if endpoints.mirror and endpoints.tls_in_pod:
        hosts.append(endpoints.mirror)
    return tuple(dict.fromkeys(host.partition(":")[0] for host in hosts))


def hosts_toml(settings: Settings) -> str | None:
    """Return the text by which a node's containerd finds a registry whose name only the cluster's DNS knows.

    It belongs in /etc/containerd/certs.d/<pull endpoint>/hosts.toml on each node, with the Service's cluster IP in
    place of `<cluster IP>`. None if nodes can resolve the name.
    """
    endpoints = of(settings)
    if not endpoints.pull.startswith(service(REGISTRY, settings.kubernetes.namespace)):
        return None
    scheme = endpoints.url.partition(":")[0]
    return (
        f'server = "{endpoints.url}"\n\n[host."{scheme}://<cluster IP>:{PORT}"]\n  capabilities = ["pull", "resolve"]\n'
    )
