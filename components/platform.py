"""Chooses the platform. A platform's packages are imported only when a stack has chosen it."""

from collections.abc import Iterable, Mapping

import pulumi

from components.settings import Problem, Settings


def survey(settings: Settings) -> Iterable[Problem]:
    """Look at the place that the settings name; give what stands in the way of a deployment. Changes nothing."""
    from components.docker import host  # noqa: PLC0415 - 0.1 s that only a stack on this platform should pay

    return host.survey(settings, project=pulumi.get_project(), stack=pulumi.get_stack())


def deploy(settings: Settings) -> Mapping[str, pulumi.Input[object]]:
    """Register the chosen platform's resources; give the stack's outputs by name."""
    from components import docker  # noqa: PLC0415 - as above

    return docker.deploy(settings)
