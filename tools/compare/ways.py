"""The ways to build an image that are compared. A new one is one entry here, and its words in `words`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from components.settings.builds import BuildSettings
from components.settings.docker import DockerSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

Platform = Literal["docker", "kubernetes"]

AGAINST: Final = "socket"
"""The way that all others are held against: what the usual stack has."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Way:
    """One way to build an image."""

    name: str
    """As the settings have it: of `ci:docker.access`, or of a build's `builder`."""

    platform: Platform
    stack: str = ""
    """The committed stack whose settings it is deployed with."""

    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What is changed in them under `ci:docker`, so that nothing meets a stack that is deployed already."""

    engine: Literal["host", "beside", "elsewhere"] = "host"
    """Which engine builds: the host's own, one in a container of the stack's, one on another machine."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Built:
    """One build that ended well."""

    seconds: float
    """From when it was asked for until the image was in the registry."""

    cpu: float
    """Processor time, seconds."""

    peak: float
    """Memory at its highest, without page cache, MiB."""

    digest: str
    """The image's, as the registry has it: `sha256:...`."""


PREFIX: Final = "ci-bench-compare-"
"""What the names of all containers, volumes and networks begin with."""
CONTROLLER: Final = "ci-offline-compare:1"
DIND_IMAGE: Final = "ci-offline-compare-dind:1"
PROXY_IMAGE: Final = "ci-offline-compare-proxy:1"
"""Second names of the stand-in images, which another clone of the project may make anew in the meantime."""

ALL: Final = (
    Way(name="socket", platform="docker", stack="offline"),
    Way(
        name="dind",
        platform="docker",
        stack="dind-offline",
        settings={"dind": {"containerName": f"{PREFIX}dind-engine", "image": DIND_IMAGE}},
        engine="beside",
    ),
    Way(
        name="proxy",
        platform="docker",
        stack="proxy-offline",
        settings={"proxy": {"containerName": f"{PREFIX}proxy-proxy", "image": PROXY_IMAGE}},
    ),
    Way(name="tcp", platform="docker", stack="tcp", engine="elsewhere"),
    Way(name="kaniko", platform="kubernetes", stack="lab"),
    Way(name="buildkit", platform="kubernetes", stack="buildkit"),
    Way(name="buildah", platform="kubernetes", stack="buildah"),
)
"""In the order in which they are shown."""


def known() -> dict[Platform, tuple[str, ...]]:
    """Give the names of all ways that the settings know."""
    return {
        "docker": get_args(DockerSettings.model_fields["access"].annotation),
        "kubernetes": get_args(BuildSettings.model_fields["builder"].annotation),
    }
