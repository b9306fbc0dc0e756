"""The network policies: every connection is forbidden except those listed here."""

import contextlib
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import pulumi
from pulumi_kubernetes import networking

from ..labels import APP
from ..settings import KubernetesSettings, Settings
from ..settings.kubernetes import EVERYWHERE
from .cluster import ApiReader, ForbiddenError
from .endpoints import BUILDKIT, BUILDKIT_PORT, MIRROR, PORT, REGISTRY, WEBHOOK_PORT
from .namespaces import StackArgs, of_buildkit

RESTARTER: Final = "restarter"
PUSH: Final = "push"
"""Name of the watcher of branches and of its objects."""

GITLAB_RUNNER: Final = "gitlab-runner"
SOLVER: Final = "acme-solver"
_SOLVERS: Final = "acme.cert-manager.io/http01-solver"
_SOLVERS_PORT: Final = 8089
"""cert-manager's label on these pods, and their port. Source: cert-manager's source."""

_NAME: Final = "kubernetes.io/metadata.name"
"""Kubernetes' own label with a namespace's name."""

_METADATA: Final = (
    "169.254.0.0/16",  # link-local: most clouds
    "fe80::/10",
    "fd00:ec2::254/128",  # AWS over IPv6
    "100.100.100.200/32",  # Alibaba
    "168.63.129.16/32",  # Azure's wire server
)
"""Metadata services of clouds, which hand out a node's credentials. Source: the clouds' documentation."""

_LOCAL_DNS: Final = "169.254.20.10/32"
"""The address of NodeLocal DNSCache on every node. Source: the Kubernetes documentation."""

_API_PORTS: Final = (443, 6443, 8443, 16443)
"""The API server's port on its Service, and those behind it: usually 6443, in minikube 8443, in MicroK8s 16443. Its
address differs from cluster to cluster."""


_PRIVATE: Final = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
"""Ranges of private networks. Source: RFC 1918, RFC 6598, RFC 4193."""

_MOST_NODES: Final = 500
"""Of a cluster with more nodes none is closed: a policy with thousands of addresses slows network plugins down."""

_WEB_PORTS: Final = (80, 443)
"""What stays open on nodes. There an ingress controller may listen, in front of a git host or of the registry."""


@dataclass(frozen=True, kw_only=True)
class ClusterAddresses:
    """The addresses that steps of builds have no business with, each as a range of one address."""

    nodes: tuple[str, ...] = ()
    """The nodes', where the kubelet and the nodes' own services listen."""

    api: tuple[str, ...] = ()
    """The API server's: of its Service, and of those behind it. It may be on nodes."""


def known(reader: ApiReader) -> ClusterAddresses:
    """Return the cluster's addresses, as far as this user may read them."""
    nodes, api = list[str](), list[str]()
    with contextlib.suppress(ForbiddenError):
        answer = reader.get("/api/v1/nodes", limit=str(_MOST_NODES)) or {}
        if not answer.get("metadata", {}).get("continue"):
            for node in answer.get("items", ()):
                nodes += [each["address"] for each in node["status"].get("addresses") or ()]
    with contextlib.suppress(ForbiddenError):
        service = reader.get("/api/v1/namespaces/default/services/kubernetes") or {}
        api += service.get("spec", {}).get("clusterIPs") or ()
        path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
        slices = reader.get(path, labelSelector="kubernetes.io/service-name=kubernetes") or {}
        ends = [end for each in slices.get("items", ()) for end in each["endpoints"]]
        api += [address for end in ends for address in end["addresses"]]
    return ClusterAddresses(nodes=_single(nodes), api=_single(api))


def _single(addresses: Sequence[str]) -> tuple[str, ...]:
    """Return those that are addresses, sorted, as ranges. A node also lists its names."""
    found = set[str]()
    for address in addresses:
        with contextlib.suppress(ValueError):
            found.add(str(ipaddress.ip_network(address)))
    return tuple(sorted(found))


@dataclass(frozen=True, kw_only=True)
class NetworkArgs(StackArgs):
    """The inputs of the network policies."""

    addresses: ClusterAddresses


class Network(pulumi.ComponentResource):
    """The network policies of all namespaces. They need a network plugin that enforces them."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register every policy."""
        super().__init__("ci:kubernetes:Network", name, {}, opts)
        mine = pulumi.ResourceOptions(parent=self)
        namespaces = {"registry": args.spaces.registry, "builds": args.spaces.builds, BUILDKIT: args.spaces.buildkit}
        for (namespace, role), spec in _policies(args.settings, args.addresses).items():
            networking.v1.NetworkPolicy(
                f"{name}-{namespace}-{role}",
                metadata={"name": role, "namespace": namespaces[namespace]},
                spec=spec,
                opts=mine,
            )
        self.register_outputs({})


def _of_steps(settings: KubernetesSettings, addresses: ClusterAddresses) -> list[dict[str, Any]]:
    """Return what steps of builds reach outside of the stack, but for the cluster's DNS."""
    private = settings.private_egress
    closed = list(dict.fromkeys([*addresses.nodes, *addresses.api, *(_PRIVATE if private is not None else ())]))
    to = [*_blocks(settings.egress, closed), *_blocks(private or (), addresses.api)]
    rules: list[dict[str, Any]] = [{"to": to}] if to else []
    web = [node for node in addresses.nodes if node not in addresses.api and _inside(node, settings.egress)]
    if web and private is None:
        rules.append({"to": _blocks(web), "ports": [_tcp(port) for port in _WEB_PORTS]})
    return rules


def _policies(settings: Settings, addresses: ClusterAddresses) -> Mapping[tuple[str, str], Any]:
    namespace, registry, buildkit = settings.kubernetes.namespace, settings.registry, settings.buildkit
    watched = [build.context.git.repository for build in settings.builds if build.on_push and build.context.git]
    callers = settings.webhook.allow_from if settings.webhook is not None else ()
    builds = [_in_namespace(f"{namespace}-builds")]
    dns, wanted = _dns(settings.kubernetes), _of_steps(settings.kubernetes, addresses)
    api = {"ports": [_tcp(port) for port in _API_PORTS]}
    to_buildkit = [_to_pods(of_buildkit(namespace), [BUILDKIT], BUILDKIT_PORT)] if buildkit is not None else []
    pulls = [*builds, *([_in_namespace(of_buildkit(namespace))] if buildkit is not None else [])]
    policies: dict[tuple[str, str], Any] = {
        ("builds", "nothing"): _nothing(),
        ("builds", "builds"): _policy({}, egress=[dns, _to_registry(settings), *to_buildkit, *wanted]),
        ("registry", "nothing"): _nothing(),
        ("registry", REGISTRY): _policy(
            {APP: REGISTRY}, ingress=[_from([*pulls, *_blocks(registry.allow_from)], PORT)]
        ),
    }
    if registry.mirror is not None:
        policies["registry", MIRROR] = _policy(
            {APP: MIRROR}, ingress=[_from(pulls, PORT)], egress=[dns, _to_hosts(registry.mirror.upstream)]
        )
    if registry.garbage_collection is not None:
        policies["registry", RESTARTER] = _policy({APP: RESTARTER}, egress=[dns, api])
    if watched:
        policies["registry", PUSH] = _policy(
            {APP: PUSH},
            ingress=[_from(_blocks(callers), WEBHOOK_PORT)] if callers else [],
            egress=[dns, api, _to_hosts(*watched)],
        )
    if registry.tls is not None and registry.tls.issuer is not None:
        # An issuer may check the name over HTTP, with a pod in the certificate's namespace behind the ingress.
        policies["registry", SOLVER] = _policy({_SOLVERS: "true"}, ingress=[{"ports": [_tcp(_SOLVERS_PORT)]}])
    if buildkit is not None:
        policies[BUILDKIT, "nothing"] = _nothing()
        policies[BUILDKIT, BUILDKIT] = _policy(
            {APP: BUILDKIT},
            ingress=[_from([*builds, *_blocks(buildkit.allow_from)], BUILDKIT_PORT)],
            # The steps of all builds run in it.
            egress=[dns, _to_registry(settings), *wanted],
        )
    if settings.gitlab_runner is not None:
        to_gitlab = _to_hosts(settings.gitlab_runner.url)
        policies["registry", GITLAB_RUNNER] = _policy({APP: GITLAB_RUNNER}, egress=[dns, api, to_gitlab])
    return policies


def _policy(pods: Mapping[str, str], **rules: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a policy. pods: their labels; none means all. rules: `ingress`, `egress` or both."""
    selector = {"matchLabels": pods} if pods else {}
    return {"podSelector": selector, "policyTypes": [side.capitalize() for side in rules], **rules}


def _nothing() -> dict[str, Any]:
    return {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def _from(peers: Sequence[Mapping[str, Any]], port: int) -> dict[str, Any]:
    return {"from": peers, "ports": [_tcp(port)]}


def _to_hosts(*urls: str) -> dict[str, Any]:
    """Open these hosts' ports. A policy can't name a host, so they may have any address."""
    return {"to": _blocks(EVERYWHERE), "ports": [_tcp(port) for port in sorted(set(map(_port, urls)))]}


def _to_registry(settings: Settings) -> dict[str, Any]:
    roles = [REGISTRY, MIRROR] if settings.registry.mirror is not None else [REGISTRY]
    return _to_pods(settings.kubernetes.namespace, roles, PORT)


def _to_pods(namespace: str, roles: Sequence[str], port: int) -> dict[str, Any]:
    pods = {"podSelector": {"matchExpressions": [{"key": APP, "operator": "In", "values": list(roles)}]}}
    return {"to": [{**_in_namespace(namespace), **pods}], "ports": [_tcp(port)]}


def _in_namespace(name: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {_NAME: name}}}


def _dns(settings: KubernetesSettings) -> dict[str, Any]:
    return {
        "to": [
            {"namespaceSelector": {"matchLabels": {_NAME: settings.dns_namespace}}},
            {"ipBlock": {"cidr": _LOCAL_DNS}},
        ],
        "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
    }


def _blocks(networks: Sequence[str], closed: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the networks without what is closed inside of them. One that is named itself is open."""
    return [{"ipBlock": _block(network, [*_METADATA, *closed])} for network in networks]


def _block(network: str, closed: Sequence[str]) -> dict[str, Any]:
    inside = [part for part in closed if part != network and _inside(part, [network])]
    return {"cidr": network, **({"except": inside} if inside else {})}


def _inside(part: str, networks: Sequence[str]) -> bool:
    small, wholes = ipaddress.ip_network(part), map(ipaddress.ip_network, networks)
    return any(small.version == whole.version and small.subnet_of(whole) for whole in wholes)  # type: ignore[arg-type]  # both have one version


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or {"https": 443, "http": 80, "ssh": 22}[parts.scheme]


def _tcp(port: int) -> dict[str, Any]:
    return {"port": port, "protocol": "TCP"}
