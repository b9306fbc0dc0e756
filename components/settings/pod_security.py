"""The Pod Security levels, and what each builder needs of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Level = Literal["restricted", "baseline", "privileged"]
LEVELS: Final[Sequence[Level]] = ("restricted", "baseline", "privileged")
"""The levels, the strictest first. Source: the Kubernetes documentation, "Pod Security Standards"."""

LEVEL_KEY: Final = "ci:kubernetes.buildsPodSecurity"
"""The setting with the level of the builds' namespace."""

Builder = Literal["kaniko", "buildkit", "buildah"]


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a builder's pod is refused for, by the level of the namespace that refuses it.

    The checks have the names that k8s.io/pod-security-admission, which the API server asks, gives them. Some have two
    forms, of which the stricter level asks the stricter one.
    """

    refused_by: Mapping[Level, Sequence[str]]

    @property
    def level(self) -> Level:
        """The strictest level that accepts the builder."""
        return next(level for level in LEVELS if level not in self.refused_by)


NEEDS: Final[Mapping[Builder, Needs]] = {
    "kaniko": Needs(refused_by={"restricted": ("capabilities", "runAsNonRoot", "runAsUser")}),
    "buildah": Needs(refused_by={"restricted": ("capabilities", "runAsNonRoot", "runAsUser", "seccompProfile")}),
    "buildkit": Needs(
        refused_by={
            "restricted": ("allowPrivilegeEscalation", "appArmorProfile", "capabilities", "seccompProfile"),
            "baseline": ("appArmorProfile", "seccompProfile"),
        }
    ),
}
"""By builder. A context out of git adds `runAsNonRoot` to what `restricted` has against it, since ssh must be root."""

CLIENT: Final = Needs(refused_by={})
"""Of BuildKit's client, for a daemon that stays."""

CLIENT_OVER_SSH: Final = Needs(refused_by={"restricted": ("runAsNonRoot", "runAsUser")})
"""Of the same with a repository over ssh, which knows no user but those in the image, and root alone is in each."""

RUNNERS_JOBS: Final = Needs(refused_by={"restricted": ("capabilities", "runAsNonRoot")})
"""Of a GitLab Runner's jobs. They may build with kaniko: they have its capabilities, and the user of their image."""


def in_words(checks: Sequence[str]) -> str:
    """Name checks in a sentence: "the checks capabilities and runAsUser"."""
    [*most, last] = checks
    return f"the checks {', '.join(most)} and {last}" if most else f"the check {last}"


def looser(level: Level, than: str) -> bool:
    """Return whether a level allows more than another, which may be unknown."""
    order = list[str](LEVELS)
    return than in order and order.index(level) > order.index(than)
