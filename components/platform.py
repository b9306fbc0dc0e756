"""Chooses the platform of a stack.

Only a stack on Kubernetes imports that platform's packages: they take 0.39 s of a preview's 1.8 s (two cores).
"""

from collections.abc import Iterable, Mapping

import pulumi

from components import docker, former_names, state
from components.docker import host
from components.settings import Problem, Settings
from components.state import NAME


def preflight(settings: Settings) -> Iterable[Problem]:
    """Return the problems of the host or cluster that block the deployment. Changes nothing."""
    project, stack = pulumi.get_project(), pulumi.get_stack()
    if settings.platform == "docker":
        own = state.of_root(NAME).resources
        return host.preflight(settings, project=project, stack=stack, state=own)
    from components.kubernetes import history  # noqa: PLC0415 - see above
    from components.kubernetes.cluster import ApiReader, named  # noqa: PLC0415
    from components.kubernetes.namespaces import names  # noqa: PLC0415
    from components.kubernetes.preflight import preflight as of_cluster  # noqa: PLC0415

    wanted, past = settings.kubernetes, history.read(NAME)
    # Without a file or a context in the settings, they may point to another cluster each time.
    fixed = wanted.kubeconfig is not None or wanted.context is not None
    deployed = fixed and (past.context, past.namespace) == (named(wanted), wanted.namespace)
    # Nobody has looked yet at one that a new setting needs.
    deployed = deployed and past.namespaces.issuperset(names(settings))
    return of_cluster(settings, ApiReader(wanted), project=project, stack=stack, deployed=deployed)


def deploy(settings: Settings) -> Mapping[str, pulumi.Input[object]]:
    """Register the platform's resources, and return the stack's outputs by name."""
    opts = former_names.of(NAME)
    if settings.platform == "docker":
        return docker.DockerCi(NAME, settings, opts).outputs
    from components import kubernetes  # noqa: PLC0415 - see above

    return kubernetes.KubernetesCi(NAME, settings, opts).outputs
