"""A lab as tests and people see it: where everything is, and how to have it."""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Mapping
from pathlib import Path

from lab import cluster, configs, images, pki, programs
from lab.layout import Layout

_FOR = "for"
"""The file that says for which group of processes a lab was brought up."""


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
        return images.names()

    def trust(self, registry: str) -> None:
        """Let the node pull from a registry by HTTPS with a certificate of the lab's authority.

        registry: host and port as in an image's name: `localhost:30500`.
        """
        folder = self.data / "certs.d" / registry
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "hosts.toml").write_text(configs.mirror(f"https://{registry}", self.ca))

    def certificate(self, name: str, *hosts: str) -> tuple[Path, Path]:
        """Give a server's certificate of the lab's authority and its key, as files of this name."""
        authority = pki.Authority.of(self.ca.read_text(), (self.pki / "ca.key").read_text())
        return authority.server(*hosts).write(self.pki, name)


def ensure() -> Lab:
    """The clone's own lab, brought up if it is not. Raises OpsError when it can't be."""
    found = Lab.at()
    if cluster.up(found):
        (found.data / _FOR).write_text(str(os.getpgrp()))
    return found


def release() -> None:
    """Take the clone's own lab down if `ensure` brought it up in this process's group: tests run in several."""
    found = Lab.at()
    with contextlib.suppress(FileNotFoundError):
        if (found.data / _FOR).read_text() == str(os.getpgrp()):
            cluster.down(found)
