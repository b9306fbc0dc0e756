"""All keys of a stack's config, with their checks and messages.

This is the only package that reads the stack's config. `load` returns one frozen, typed value, or raises one error that
lists the problems. Components never read config; each takes a part of what `load` returned.
"""

from components.settings.builds import BuildSettings
from components.settings.docker import DockerSettings
from components.settings.gitlab import GitlabRunnerSettings
from components.settings.jenkins import JenkinsSettings, JobSettings
from components.settings.kubernetes import KubernetesSettings, RegistrySettings
from components.settings.load import load
from components.settings.model import Settings
from components.settings.problems import NotAcceptedError, Problem, SettingsError

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
