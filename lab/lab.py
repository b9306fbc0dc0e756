"""A lab as tests and people see it: where everything is, and how to have it."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path

from lab import cluster, configs, images, pki, programs
from lab.layout import Layout

STARTED: list["Lab"] = []
"""The labs that this process brought up."""


@dataclasses.dataclass(frozen=True)
class Lab(Layout):
    """A lab that is up."""

    @functools.cached_property
    def kubectl(self) -> Path:
        """The kubectl of the cluster's own version."""
        return programs.KUBERNETES.ensure() / "kubectl"

    @functools.cached_property
    def images(self) -> Mapping[str, str]:
        """The images on the node, as a Pod spec has them: the builders', busybox, git, kubectl, registry ..."""
        return images.names(programs.versions())

    def trust(self, registry: str) -> None:
        """Let the node pull from a registry by HTTPS with a certificate of the lab's authority.

        registry: host and port as in an image's name: `localhost:30500`.
        """
        folder = self.certs_d / registry
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "hosts.toml").write_text(configs.mirror(f"https://{registry}", self.ca))

    def certificate(self, name: str, *hosts: str) -> tuple[Path, Path]:
        """A server's certificate of the lab's authority.

        Args:
            name: of its files, one of the test's own.
            hosts: the DNS names and addresses it is for.

        Returns:
            The certificate's file and its key's.
        """
        authority = pki.Authority.of(self.ca.read_text(), (self.pki / "ca.key").read_text())
        return authority.server(*hosts).write(self.pki, name)

    def down(self) -> None:
        """Take it down."""
        cluster.down(self)


def ensure() -> Lab:
    """The clone's own lab, brought up if it is not.

    Raises:
        OpsError: when it can't be.
    """
    found = Lab.at()
    if cluster.up(found):
        STARTED.append(found)
    return found
