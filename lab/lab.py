"""A lab as tests and people see it: where everything is, and how to have it."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path

from lab import cluster, configs, images, layout, pki, processes, programs
from lab.layout import Layout

STARTED: list["Lab"] = []
"""The labs that this process brought up."""


@dataclasses.dataclass(frozen=True)
class Lab:
    """A lab that is up."""

    layout: Layout

    @property
    def kubeconfig(self) -> Path:
        """The administrator's, root's alone."""
        return self.layout.kubeconfig

    @functools.cached_property
    def kubectl(self) -> Path:
        """The kubectl of the cluster's own version."""
        return programs.KUBERNETES.ensure() / "kubectl"

    @property
    def node_name(self) -> str:
        """The one node's name."""
        return self.layout.netns

    @property
    def node_address(self) -> str:
        """Where NodePorts are reached, from this machine and from pods."""
        return self.layout.node_address

    @property
    def host_address(self) -> str:
        """Where pods reach this machine: a test's own server can listen there."""
        return self.layout.host_address

    @property
    def upstream(self) -> str:
        """Host and port of the registry that plays the public one: plain HTTP, no users, library/{alpine,busybox}."""
        return cluster.upstream(self.layout)

    @property
    def upstream_tls(self) -> str:
        """The same images by HTTPS, with a certificate of the lab's authority."""
        return f"{self.node_address}:{layout.UPSTREAM_TLS_PORT}"

    @property
    def ca(self) -> Path:
        """The lab's certificate authority, as PEM."""
        return self.layout.ca

    @property
    def certs_d(self) -> Path:
        """Containerd's folder of `<host:port>/hosts.toml` files, read at each pull: see `trust`."""
        return self.layout.certs_d

    @functools.cached_property
    def images(self) -> Mapping[str, str]:
        """The images on the node, as a Pod spec has them: the builders', busybox, git, kubectl, registry ..."""
        version = cluster.versions()
        return {
            "buildah": images.BUILDAH,
            "buildkit": f"ci-lab/buildkit:{version['buildkitd']}",
            "busybox": images.BUSYBOX,
            "coredns": f"ci-lab/coredns:{version['coredns']}",
            "git": images.GIT,
            "gitlab-runner": images.GITLAB_RUNNER,
            "haproxy": images.HAPROXY,
            "kaniko": f"ci-lab/kaniko:{version['executor']}",
            "kubectl": f"ci-lab/kubectl:{version['kubectl']}",
            "pause": configs.PAUSE,
            "registry": f"ci-lab/registry:{version['registry']}",
        }

    def trust(self, registry: str, *, server: str = "", ca: Path | None = None) -> None:
        """Let the node pull from a registry that is not by HTTPS with a public certificate.

        Args:
            registry: host and port as in an image's name: `localhost:30500`.
            server: where it is, with its scheme; by default plain HTTP at `registry`.
            ca: the authority of its certificate, as PEM.
        """
        folder = self.certs_d / registry
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "hosts.toml").write_text(configs.mirror(server or f"http://{registry}", ca))

    def certificate(self, name: str, *hosts: str) -> tuple[Path, Path]:
        """A server's certificate of the lab's authority.

        Args:
            name: of its files, one of the test's own.
            hosts: the DNS names and addresses it is for; by default this machine's address on the wire.

        Returns:
            The certificate's file and its key's.
        """
        return pki.Authority.load(self.layout.pki).server(name, hosts or (self.host_address,))

    def run(self, *command: str | Path, data: bytes | None = None) -> bytes:
        """Run a command in the node's network and return its stdout.

        Raises:
            OpsError: when it fails, with its stderr.
        """
        return processes.run(self.layout, command, title=str(command[0]), data=data)

    def down(self) -> None:
        """Take it down."""
        cluster.down(self.layout)


def ensure(data: Path | None = None) -> Lab:
    """The lab whose data is in a folder, by default the clone's own; brought up if it is not.

    Raises:
        OpsError: when it can't be.
    """
    found = Lab(layout.at(data))
    if cluster.up(found.layout):
        STARTED.append(found)
    return found
