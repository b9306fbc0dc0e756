"""A build with every address resolved: the input of a builder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ...settings import BuildSettings
from .. import restricted

PUSH_SECRET: Final = "registry-push"  # noqa: S105 - a name
"""The Secret with the logins of every registry that builds use, as docker's config.json."""

PULL_SECRET: Final = "registry-pull"  # noqa: S105 - a name
"""The Secret with the account that can only pull, for nodes."""

GIT_SECRET: Final = "git"  # noqa: S105 - a name
STORAGE_SECRET: Final = "storage"  # noqa: S105 - a name
BUILD_SECRETS: Final = "build-secrets"
"""The Secret with the secrets that builds mount into steps."""

TRUST: Final = "trusted-ca"
"""A ConfigMap with the certificate authorities that builds trust beside the public ones."""

TRUST_FILE: Final = "ca.crt"
SECRETS_FOLDER: Final = "/secrets"


@dataclass(frozen=True, kw_only=True)
class BuildSpec:
    """One build with every address resolved."""

    build: BuildSettings
    image: str
    """The builder's image."""

    destinations: Sequence[str]
    """The names to push, each `host/repository:tag`."""

    cache_repository: str
    """The repository of the cached layers, `host/repository`."""

    tries_login: bool = True
    """Whether Kaniko tries the login before it builds: once, so it fails while the registry restarts. The stack's own
    registry needs no try, since the stack made the login."""

    plain_registries: Sequence[str] = ()
    """Hosts that are reached over plain HTTP."""

    mirrors: Mapping[str, str]
    """The mirror's host, by the host in an image's name."""

    git_image: str
    config_map: str | None = None
    """The ConfigMap with the packed context, named by the context's digest; None for other contexts."""

    daemon: str | None = None
    """The address of the BuildKit daemon that builds it; None if it is built in its own pod."""

    user_namespace: bool = False
    """Whether the pod has a user namespace of its own, so that root in there is nobody on the node."""

    runtime_class: str | None = None
    """The RuntimeClass of the pod; None for the node's own runtime."""

    trusted_ca: str | None = None
    """SHA-256 of the certificate authorities that the build trusts beside the public ones; None without them."""

    object_storage: Mapping[str, str]
    """Environment variables that locate the object storage. None of them is secret."""


def flags(build: BuildSettings, *, platform: str) -> list[str]:
    """Return the flags for a build's Dockerfile that Kaniko and Buildah share.

    platform: the name of the flag for the platform, which differs.
    """
    found = [f"--build-arg={name}={literal(value)}" for name, value in sorted(build.args.items())]
    found += [f"--label={key}={literal(value)}" for key, value in sorted(build.labels.items())]
    found += [f"--target={build.target}"] if build.target is not None else []
    return found + ([f"{platform}={build.platform}"] if build.platform is not None else [])


def literal(text: str) -> str:
    """Return an argument of which the kubelet makes this text: it takes $$ for $, and $(NAME) for a variable."""
    return text.replace("$", "$$")


def resources(build: BuildSettings) -> dict[str, Any]:
    """Return the resources of a build's containers. All memory is requested: a build short of it would be killed."""
    wanted = build.resources
    return restricted.resources(wanted.cpu_millicores, wanted.memory_mib, wanted.disk_mib, min(wanted.disk_mib, 512))
