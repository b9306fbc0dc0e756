"""Chooses the platform. A platform's packages are imported only when a stack has chosen it."""

from collections.abc import Iterable, Mapping

import pulumi

from components.settings import Problem, Settings


def preflight(settings: Settings) -> Iterable[Problem]:
    """Look at the place that the settings name; give what stands in the way of a deployment. Changes nothing."""
    project, stack = pulumi.get_project(), pulumi.get_stack()
    if settings.platform == "kubernetes":
        from components.kubernetes import history  # noqa: PLC0415 - 0.4 s that only a stack on this platform should pay
        from components.kubernetes.cluster import ApiReader, named  # noqa: PLC0415
        from components.kubernetes.preflight import preflight as look  # noqa: PLC0415

        wanted, past = settings.kubernetes, history.read()
        # Where neither file nor context is named, the same words may lead to another cluster each time.
        fixed = wanted.kubeconfig is not None or wanted.context is not None
        deployed = fixed and (past.context, past.namespace) == (named(wanted), wanted.namespace)
        return look(settings, ApiReader(wanted), project=project, stack=stack, deployed=deployed)
    from components.docker import host  # noqa: PLC0415 - 0.1 s, as above

    return host.preflight(settings, project=project, stack=stack)


def deploy(settings: Settings) -> Mapping[str, pulumi.Input[object]]:
    """Register the chosen platform's resources; give the stack's outputs by name."""
    if settings.platform == "kubernetes":
        from components import kubernetes  # noqa: PLC0415 - as above

        return kubernetes.deploy(settings)
    from components import docker  # noqa: PLC0415 - as above

    return docker.deploy(settings)
