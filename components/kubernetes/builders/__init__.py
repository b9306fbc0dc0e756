"""The builders: what builds an image in a pod.

A builder is a pure function from a `BuildSpec`, one build with every address resolved, to the spec of the pod that does
it. It registers no resource and makes no request. The Pod Security level that each builder needs is in
`components.settings.pod_security`, since the settings are checked against it before a builder is called.
"""

from collections.abc import Callable, Mapping
from typing import Final

from ...settings.pod_security import Builder
from .buildah import buildah
from .buildkit import buildkit
from .kaniko import kaniko
from .pod import PodSpec
from .spec import BuildSpec

BUILDERS: Final[Mapping[Builder, Callable[[BuildSpec], PodSpec]]] = {
    "kaniko": kaniko,
    "buildkit": buildkit,
    "buildah": buildah,
}
"""Every builder by its name in a build's setting `builder`."""

__all__ = ["BUILDERS", "BuildSpec", "PodSpec"]
