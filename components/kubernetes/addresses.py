"""The registry's names: where builds push, where nodes and people pull."""

from dataclasses import dataclass
from typing import Final

from components.settings import Settings

PORT: Final = 5000
"""The registry's port in its pod and on its Service."""

REGISTRY: Final = "registry"
MIRROR: Final = "mirror"
"""Names of the two Services, and of all that belongs to each."""


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """How one stack's registry is reached. Each is `host` or `host:port`."""

    push: str
    """Where builds push and pull: inside the cluster, the Service, unless an ingress ends TLS."""

    pull: str
    """Where nodes and people pull. It is what the output `images` begins with."""

    mirror: str | None
    """Where builds find the pull-through mirror; None without one."""

    url: str
    """The address for people."""

    tls_in_pod: bool
    """Whether the registry itself speaks TLS. Behind an ingress, the ingress does."""

    plain: tuple[str, ...]
    """The hosts among `push` and `mirror` that a build speaks plain HTTP to."""


def service(name: str, namespace: str) -> str:
    """Give a Service's name as pods resolve it, whatever the cluster's domain is."""
    return f"{name}.{namespace}.svc"


def of(settings: Settings) -> Addresses:
    """Give the addresses of a stack's registry."""
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
    return Addresses(
        push=push,
        pull=pull,
        mirror=mirror,
        url=f"{scheme}://{pull}",
        tls_in_pod=tls_in_pod,
        plain=tuple(plain),
    )


def names(settings: Settings) -> tuple[str, ...]:
    """Give the names that the registry's certificate must carry, without ports."""
    addresses = of(settings)
    hosts = [addresses.push, addresses.pull]
    if addresses.mirror and addresses.tls_in_pod:
        hosts.append(addresses.mirror)
    return tuple(dict.fromkeys(host.partition(":")[0] for host in hosts))


def hosts_toml(settings: Settings) -> str | None:
    """Give the text by which a node's containerd finds a registry that only the cluster's DNS knows.

    It belongs into /etc/containerd/certs.d/<pull address>/hosts.toml of each node, with the Service's cluster IP in
    place of `<cluster IP>`. None where nodes know the name themselves.
    """
    addresses = of(settings)
    if not addresses.pull.startswith(service(REGISTRY, settings.kubernetes.namespace)):
        return None
    scheme = addresses.url.partition(":")[0]
    return (
        f'server = "{addresses.url}"\n\n[host."{scheme}://<cluster IP>:{PORT}"]\n  capabilities = ["pull", "resolve"]\n'
    )
