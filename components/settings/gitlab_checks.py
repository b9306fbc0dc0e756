"""What must hold between the settings of a GitLab Runner and the others."""

from collections.abc import Iterator

from components.settings.fields import WHERE_RUNNERS_ARE_MADE
from components.settings.gitlab import GitlabRunnerSettings
from components.settings.model import Settings
from components.settings.pod_security import LEVEL_KEY, RUNNERS_JOBS, in_words
from components.settings.problems import Problem


def between(settings: Settings) -> Iterator[Problem]:
    """Give every problem that lies between two settings; none where there is no runner."""
    runner = settings.gitlab_runner
    if runner is None:
        return
    if settings.gitlab_runner_token is None:
        yield Problem(
            key="ci:gitlabRunnerToken",
            wrong="is missing, and only GitLab can make one",
            instead=f"make a runner there ({WHERE_RUNNERS_ARE_MADE}), then set the token that it shows with "
            "`pulumi config set --secret ci:gitlabRunnerToken`",
        )
    yield from _address(runner)
    if settings.platform == "kubernetes":
        yield from _in_cluster(settings, runner)
    else:
        yield from _on_host(settings, runner)


def _address(runner: GitlabRunnerSettings) -> Iterator[Problem]:
    plain = runner.url.startswith("http://")
    if plain and not runner.plain_http:
        yield Problem(
            key="ci:gitlabRunner.url",
            value=runner.url,
            wrong="is plain HTTP, so the token and all sources would cross the network in clear",
            instead=f"give https://{runner.url.partition('://')[2]}, or write plainHttp: true beside it",
        )
    if not plain and runner.plain_http:
        yield Problem(
            key="ci:gitlabRunner.plainHttp",
            value=True,
            wrong="stands beside an https:// address",
            instead="leave it out",
        )
    if plain and runner.ca_file is not None:
        yield Problem(
            key="ci:gitlabRunner.caFile",
            value=runner.ca_file,
            wrong="has no effect over plain HTTP",
            instead="give an https:// address, or leave it out",
        )


def _in_cluster(settings: Settings, runner: GitlabRunnerSettings) -> Iterator[Problem]:
    held_to = settings.kubernetes.builds_pod_security
    checks = RUNNERS_JOBS.refused_by.get(held_to)
    if checks is not None:
        yield Problem(
            key=LEVEL_KEY,
            value=held_to,
            wrong=f"would let no job of a GitLab Runner in: {in_words(checks)} would refuse its pod, which may build "
            "with kaniko",
            instead=f"write {RUNNERS_JOBS.level}, or leave it out",
        )
    for field, key in (("engine", "engine"), ("container_name", "containerName")):
        if field in runner.model_fields_set:
            yield Problem(
                key=f"ci:gitlabRunner.{key}",
                value=getattr(runner, field),
                wrong="is for a runner on a Docker host; in a cluster, jobs build without any Docker engine",
                instead="leave it out",
            )


def _on_host(settings: Settings, runner: GitlabRunnerSettings) -> Iterator[Problem]:
    for key in ("jenkins", "jobs"):
        # An empty map or list is what Pulumi.yaml gives every stack.
        if getattr(settings, key) != Settings.model_fields[key].get_default(call_default_factory=True):
            yield Problem(
                key=f"ci:{key}",
                wrong="is Jenkins', and ci:gitlabRunner puts a GitLab Runner in its place",
                instead="leave one of the two out; a runner's jobs are in each repository's .gitlab-ci.yml",
            )
    if settings.docker.access != "socket":
        yield Problem(
            key="ci:docker.access",
            value=settings.docker.access,
            wrong="is a way for Jenkins; a GitLab Runner reaches the host's engine by its socket",
            instead="leave it out, and choose what its jobs get with ci:gitlabRunner.engine: socket, dind or none",
        )
    for access in ("proxy", "dind", "tcp"):
        if access in settings.docker.model_fields_set:
            yield Problem(
                key=f"ci:docker.{access}",
                wrong="is for Jenkins' jobs, and ci:gitlabRunner puts a GitLab Runner in its place",
                instead="leave it out; ci:gitlabRunner.engine says what a runner's jobs get: socket, dind or none",
            )
    if "disk_mib" in runner.jobs.model_fields_set:
        yield Problem(
            key="ci:gitlabRunner.jobs.diskMib",
            value=runner.jobs.disk_mib,
            wrong="is for jobs in a cluster: a Docker engine limits no container's disk",
            instead="leave it out",
        )
