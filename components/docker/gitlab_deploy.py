"""Deploys a GitLab Runner on a Docker host from a stack's settings."""

from collections.abc import Mapping

import pulumi

from components import certificates, state
from components.docker import host, prune
from components.docker.access import host_socket
from components.docker.drain import Drain
from components.docker.gitlab_runner import GitlabRunner, GitlabRunnerArgs
from components.docker.image import pinned
from components.gitlab import config
from components.settings import GitlabRunnerSettings, Settings

_NO_TOKEN = "(ci:gitlabRunnerToken)"  # noqa: S105 - what previews show for the token


def deploy(settings: Settings, runner: GitlabRunnerSettings) -> Mapping[str, pulumi.Input[object]]:
    """Register all resources, and return the stack's outputs by name."""
    if settings.gitlab_runner_token is None:
        raise AssertionError
    Drain(state.resources(), host=settings.docker.host, seconds=settings.jenkins.drain_seconds, removes=True)
    on_host = pulumi.ResourceOptions(provider=host.provider(settings))
    socket = host_socket.find(settings.docker)
    owner = f"{pulumi.get_project()}/{pulumi.get_stack()}"

    def written(token: str) -> str:
        return config.for_docker(runner, name=owner, token=token, socket=socket.path)

    trusted = certificates.read(runner.ca_file) if runner.ca_file else None
    known = config.files(runner, config="", owner=owner, authorities=trusted)
    text = pulumi.Output.secret(written(settings.gitlab_runner_token.get_secret_value()))
    beside = pulumi.ResourceOptions(providers=[on_host.provider] if on_host.provider else None)
    access = host_socket.declare(settings, "", on_host)
    made = GitlabRunner(
        "gitlab-runner",
        GitlabRunnerArgs(
            settings=runner,
            image=pinned("gitlab-runner", runner.image, on_host),
            socket=socket,
            shown=written(_NO_TOKEN),
            files={**known, config.CONFIG: text},
        ),
        beside,
    )
    return {
        "platform": settings.platform,
        "url": runner.url,
        "registry": None,
        "images": {},
        "container": made.container,
        "dockerHost": settings.docker.host,
        "sidecars": prune.sidecar(settings, access, beside),
        "jobEngine": runner.engine,
        "next": _next(runner),
    }


def _next(runner: GitlabRunnerSettings) -> list[str]:
    stack = pulumi.get_stack()
    example = "examples/gitlab-dind" if runner.engine == "dind" else "examples/gitlab-docker"
    steps = [f"Check that the runner is online: {runner.url}, under Runners, or with `make status STACK={stack}`."]
    if runner.engine != "none":
        steps.append(f"Build an image: push {example} to a project that may use the runner.")
    risk = {
        "socket": "Anyone who runs a job here has root on the Docker host: only trusted projects may use the runner.",
        "dind": "The engine of a job is privileged, and can get root on the Docker host: only trusted projects may use "
        "the runner.",
        "none": "The runner itself can start any container on the Docker host; its jobs get no Docker engine.",
    }
    return [*steps, risk[runner.engine]]
