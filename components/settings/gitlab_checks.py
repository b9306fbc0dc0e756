"""The rules between the settings of a GitLab Runner and the others."""

from collections.abc import Iterator

from .gitlab import GitlabRunnerSettings
from .model import Settings
from .pod_security import LEVEL_KEY, RUNNERS_JOBS, in_words
from .problems import Problem, no_effect, required
from .secret_fields import WHERE_RUNNERS_ARE_MADE


def between(settings: Settings) -> Iterator[Problem]:
    """Return every problem between two settings; none without a runner."""
    runner = settings.gitlab_runner
    if runner is None:
        return
    if settings.gitlab_runner_token is None:
        yield required(
            "ci:gitlabRunnerToken",
            "by ci:gitlabRunner, and only GitLab can issue one",
            f"create a runner in GitLab ({WHERE_RUNNERS_ARE_MADE}), then set the token that it shows with "
            "`pulumi config set --secret ci:gitlabRunnerToken`",
        )
    plain = runner.url.startswith("http://")
    if plain and not runner.plain_http:
        yield Problem(
            "ci:gitlabRunner.url",
            "not_confirmed",
            "is plain HTTP, so the token and all sources would cross the network in clear",
            f"give https://{runner.url.partition('://')[2]}, or write plainHttp: true beside it",
            runner.url,
        )
    if not plain and runner.plain_http:
        yield no_effect("ci:gitlabRunner.plainHttp", "on an https:// address")
    if plain and runner.ca_file is not None:
        yield no_effect("ci:gitlabRunner.caFile", "over plain HTTP", "give an https:// address, or remove it")
    yield from _in_cluster(settings, runner) if settings.platform == "kubernetes" else _on_host(settings, runner)


def _in_cluster(settings: Settings, runner: GitlabRunnerSettings) -> Iterator[Problem]:
    level = settings.kubernetes.builds_pod_security
    checks = RUNNERS_JOBS.refused_by.get(level)
    if checks is not None:
        yield Problem(
            LEVEL_KEY,
            "conflict",
            f"would refuse all jobs of a GitLab Runner by {in_words(checks)}, since they may build with kaniko",
            f"write {RUNNERS_JOBS.level}, or remove it",
            level,
        )
    for field, key in (("engine", "engine"), ("container_name", "containerName")):
        if field in runner.model_fields_set:
            yield no_effect(f"ci:gitlabRunner.{key}", "in a cluster, where jobs build without a Docker engine")


def _on_host(settings: Settings, runner: GitlabRunnerSettings) -> Iterator[Problem]:
    given = [section for section in ("jenkins", "jobs") if settings.is_given(section)]
    for section in given:
        yield no_effect(
            f"ci:{section}",
            "with ci:gitlabRunner, which replaces Jenkins",
            "remove one of them; a runner's jobs are in each repository's .gitlab-ci.yml",
        )
    others = [access for access in ("proxy", "dind", "tcp") if access in settings.docker.model_fields_set]
    for key in [*(["access"] if settings.docker.access != "socket" else []), *others]:
        yield no_effect(
            f"ci:docker.{key}",
            "on a GitLab Runner, which always uses the host's socket",
            "remove it, and choose what jobs get with ci:gitlabRunner.engine: socket, dind or none",
        )
    if "disk_mib" in runner.jobs.model_fields_set:
        yield no_effect("ci:gitlabRunner.jobs.diskMib", "on a Docker engine, which limits no container's disk")
