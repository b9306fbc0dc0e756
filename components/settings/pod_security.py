"""The Pod Security levels, and what each builder needs of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Level = Literal["restricted", "baseline", "privileged"]
LEVELS: Final[Sequence[Level]] = ("restricted", "baseline", "privileged")
"""The levels, the strictest first. Source: the Kubernetes documentation, "Pod Security Standards"."""

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
        """The strictest level that lets the builder in."""
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


def looser(level: Level, than: str) -> bool:
    """Say whether a level lets more in than another, which may be none that is known."""
    order = list[str](LEVELS)
    return than in order and order.index(level) > order.index(than)
