"""Deploys a GitLab Runner on a Docker host from a stack's settings."""

from collections.abc import Mapping

import pulumi

from .. import certificates
from ..gitlab import config
from ..settings import GitlabRunnerSettings, Settings
from ..settings.secret_fields import text_of
from . import prune
from .access import host_socket
from .drain import Drain
from .gitlab_runner import GitlabRunner, GitlabRunnerArgs
from .image import pinned

_NO_TOKEN = "(ci:gitlabRunnerToken)"  # noqa: S105 - what previews show for the token


def deploy(
    name: str, settings: Settings, runner: GitlabRunnerSettings, inside: pulumi.ResourceOptions
) -> Mapping[str, pulumi.Input[object]]:
    """Register all resources under `name`, and return the stack's outputs by name. inside: the component's options."""
    if settings.gitlab_runner_token is None:
        raise AssertionError
    Drain(name, inside, host=settings.docker.host, seconds=settings.jenkins.drain_seconds, removes=True)
    socket = host_socket.find(settings.docker)
    owner = f"{pulumi.get_project()}/{pulumi.get_stack()}"

    def written(token: str) -> str:
        return config.for_docker(runner, name=owner, token=token, socket=socket.path)

    trusted = certificates.read(runner.ca_file) if runner.ca_file else None
    known = config.files(runner, config="", owner=owner, authorities=trusted)
    text = text_of(settings.gitlab_runner_token).apply(written)
    access = host_socket.declare(name, settings, "", inside)
    made = GitlabRunner(
        f"{name}-gitlab-runner",
        GitlabRunnerArgs(
            settings=runner,
            image=pinned(f"{name}-gitlab-runner", runner.image, inside),
            socket=socket,
            shown=written(_NO_TOKEN),
            files={**known, config.CONFIG: text},
        ),
        inside,
    )
    return {
        "platform": settings.platform,
        "url": runner.url,
        "registry": None,
        "images": {},
        "container": made.container,
        "dockerHost": settings.docker.host,
        "sidecars": prune.sidecar(name, settings, access, inside),
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
