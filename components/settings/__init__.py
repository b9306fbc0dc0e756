"""Every key of a stack's config: what it may be, and what is said when it is not.

This package is the only reader of `pulumi.Config`. `load` gives the program one frozen, typed value or one error that
lists everything that is wrong. Components never read config; each takes a piece of what `load` returned.
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
