"""A build with every address resolved: what a builder gets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from components.settings import BuildSettings

PUSH_SECRET: Final = "registry-push"  # noqa: S105 - a name
"""The Secret with the logins of every registry that builds use, as docker's config.json."""

GIT_SECRET: Final = "git"  # noqa: S105 - a name
STORAGE_SECRET: Final = "storage"  # noqa: S105 - a name
TRUST: Final = "trusted-ca"
"""A ConfigMap with the certificate authorities that builds trust beside the public ones."""

TRUST_FILE: Final = "ca.crt"
SECRETS_FOLDER: Final = "/secrets"


@dataclass(frozen=True, kw_only=True)
class Work:
    """One build, with every address resolved."""

    build: BuildSettings
    image: str
    """The builder's image."""

    destinations: Sequence[str]
    """What to push as, each `host/repository:tag`."""

    cache_repository: str
    """Where layers are kept, `host/repository`."""

    plain_registries: Sequence[str] = ()
    """Hosts that are spoken to over plain HTTP."""

    mirrors: Mapping[str, str]
    """By the host in an image's name, the host where to look first."""

    git_image: str
    context_digest: str | None = None
    """SHA-256 of the packed files, for a context out of a ConfigMap."""

    config_map: str | None = None
    """The ConfigMap that holds the packed files."""

    trusted_ca: str | None = None
    """SHA-256 of the certificate authorities that the build trusts beside the public ones; None for no such."""

    object_storage: Mapping[str, str]
    """Environment variables, none of them secret, by which the object storage is found."""


def limits(build: BuildSettings) -> dict[str, Any]:
    """Give the resources of a build's containers. Memory is reserved whole: a build that needs it would be killed."""
    wanted = build.resources
    return {
        "requests": {
            "cpu": f"{max(wanted.cpu_millicores // 10, 1)}m",
            "memory": f"{wanted.memory_mib}Mi",
            "ephemeral-storage": f"{min(wanted.disk_mib, 512)}Mi",
        },
        "limits": {
            "cpu": f"{wanted.cpu_millicores}m",
            "memory": f"{wanted.memory_mib}Mi",
            "ephemeral-storage": f"{wanted.disk_mib}Mi",
        },
    }
