"""All keys of a stack's config, with their checks and messages.

This is the only package that reads the stack's config. `load` returns one frozen, typed value, or raises one error that
lists the problems. Components never read config; each takes a part of what `load` returned.
"""

from .builds import BuildSettings
from .docker import DockerSettings
from .gitlab import GitlabRunnerSettings
from .jenkins import JenkinsSettings, JobSettings
from .kubernetes import KubernetesSettings, RegistrySettings
from .load import load
from .model import Settings
from .problems import NotAcceptedError, Problem, SettingsError

__all__ = [
    "BuildSettings",
    "DockerSettings",
    "GitlabRunnerSettings",
    "JenkinsSettings",
    "JobSettings",
    "KubernetesSettings",
    "NotAcceptedError",
    "Problem",
    "RegistrySettings",
    "Settings",
    "SettingsError",
    "load",
]
