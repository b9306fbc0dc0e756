"""Where one lab keeps its things and what its addresses are: all of it follows from the data folder's path."""

import dataclasses
import functools
import hashlib
import ipaddress
from pathlib import Path
from typing import Self

CLONE = Path(__file__).resolve().parents[1]
DEFAULT_DATA = CLONE / ".local" / "lab"

LINKS = ipaddress.IPv4Network("10.214.0.0/16")
"""What the wires between the machine and its labs' nodes are numbered from; each takes 4 addresses of it."""
PODS = ipaddress.IPv4Network("10.244.0.0/24")
SERVICES = ipaddress.IPv4Network("10.96.0.0/24")
"""The same in every lab: they mean something only inside a lab's own network namespace."""
DNS = SERVICES[10]
API = SERVICES[1]
"""The address of the Service `kubernetes`: always the first one."""

API_PORT = 6443
UPSTREAM_PORT = 5000
POLICY_QUEUE = 100
"""The netfilter queue that kube-network-policies judges."""
UPSTREAM_NAME = "upstream.lab.test"
"""A name of the node's address that every pod can look up."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """One lab's paths, names and addresses. Two folders give two labs that share nothing."""

    data: Path
    """Absolute. Everything the lab keeps on disk is under it."""

    @classmethod
    def at(cls, data: Path | None = None) -> Self:
        """The lab whose data is in a folder, by default `.local/lab` of the clone."""
        return cls((data or DEFAULT_DATA).resolve())

    @functools.cached_property
    def id(self) -> str:
        """Six hex digits: short enough for an interface's name, which has 15 characters at most."""
        return hashlib.sha256(str(self.data).encode()).hexdigest()[:6]

    @property
    def netns(self) -> str:
        """The name of the network namespace, of the node, and of the control group of everything that is the lab's."""
        return f"ci-lab-{self.id}"

    @property
    def veth(self) -> str:
        """The machine's end of the wire. The node's end is called eth0."""
        return f"cilab{self.id}"

    @functools.cached_property
    def link(self) -> ipaddress.IPv4Network:
        """The wire's four addresses: the second is the machine's, the third the node's."""
        start = int(LINKS.network_address) + 4 * (int(self.id, 16) % (LINKS.num_addresses // 4))
        return ipaddress.IPv4Network((start, 30))

    @property
    def host_address(self) -> str:
        """The machine's address on the wire: pods reach a test's own server there."""
        return str(self.link[1])

    @property
    def node_address(self) -> str:
        """The node's address: the API server, NodePorts and the upstream registry are there."""
        return str(self.link[2])

    @property
    def upstream(self) -> str:
        """Host and port of the registry that plays the public one: plain HTTP, no users, library/{alpine,busybox}."""
        return f"{self.node_address}:{UPSTREAM_PORT}"

    @property
    def run(self) -> Path:
        """Sockets and mounts: a short path, because a socket's has 107 characters at most (unix(7))."""
        return Path("/run") / self.netns

    @property
    def lock(self) -> Path:
        """Held by whoever brings the lab up or down. Beside the data: it outlives them."""
        return self.data.with_name(f"{self.data.name}.lock")

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.data / "pki"

    @property
    def ca(self) -> Path:
        """The authority that all of the lab's certificates are from."""
        return self.pki / "ca.crt"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.data / "kubeconfig"

    @property
    def logs(self) -> Path:
        """A log for each of the lab's programs."""
        return self.data / "logs"

    @property
    def pids(self) -> Path:
        """A file for each of the lab's processes."""
        return self.data / "pids"
