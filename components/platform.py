"""Chooses the platform of a stack.

Only a stack on Kubernetes imports that platform's packages: they take 0.39 s of a preview's 1.8 s (two cores).
"""

from collections.abc import Iterable, Mapping

import pulumi

from . import docker, former_names
from .docker.deploy import preflight as of_docker
from .settings import Problem, Settings
from .state import NAME


def preflight(settings: Settings) -> Iterable[Problem]:
    """Return the problems of the host or cluster that block the deployment. Changes nothing."""
    if settings.platform == "docker":
        return of_docker(NAME, settings)
    from .kubernetes.cluster import ApiReader  # noqa: PLC0415 - see above
    from .kubernetes.deploy import preflight as of_kubernetes  # noqa: PLC0415

    return of_kubernetes(NAME, settings, ApiReader(settings.kubernetes))


def deploy(settings: Settings) -> Mapping[str, pulumi.Input[object]]:
    """Register the platform's resources, and return the stack's outputs by name."""
    opts = former_names.of(NAME)
    if settings.platform == "docker":
        return docker.DockerCi(NAME, settings, opts).outputs
    from . import kubernetes  # noqa: PLC0415 - see above

    return kubernetes.KubernetesCi(NAME, settings, opts).outputs
