"""What builds an image in a pod.

A builder is a pure function from `Work`, one build with every address resolved, to `Pod`, the pod that does it and the
Pod Security level that the pod needs. It registers nothing and asks nobody.
"""

from components.kubernetes.builders.kaniko import kaniko
from components.kubernetes.builders.pod import LEVELS, Pod, Work

BUILDERS = {"kaniko": kaniko}
"""Every builder by the name that a build's setting `builder` has."""

__all__ = ["BUILDERS", "LEVELS", "Pod", "Work"]
