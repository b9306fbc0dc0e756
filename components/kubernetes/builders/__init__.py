"""What builds an image in a pod.

A builder is a pure function from `Work`, one build with every address resolved, to `Pod`, the pod that does it. It
registers nothing and asks nobody. What each needs of Pod Security is in `components.settings.pod_security`, where it
is checked before any of them is called.
"""

from collections.abc import Callable, Mapping
from typing import Final

from components.kubernetes.builders.buildah import buildah
from components.kubernetes.builders.buildkit import buildkit
from components.kubernetes.builders.kaniko import kaniko
from components.kubernetes.builders.pod import Pod
from components.kubernetes.builders.work import Work
from components.settings.pod_security import Builder

BUILDERS: Final[Mapping[Builder, Callable[[Work], Pod]]] = {"kaniko": kaniko, "buildkit": buildkit, "buildah": buildah}
"""Every builder by the name that a build's setting `builder` has."""

__all__ = ["BUILDERS", "Pod", "Work"]
