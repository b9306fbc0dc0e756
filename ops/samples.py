"""`sample`: show that the CI works. On a Docker host by Jenkins' sample pipeline, in a cluster by one of its images."""

# ruff: noqa: PLC0415 - imported late: each platform needs libraries that the other does not

from __future__ import annotations

from typing import Any

from ops import cluster, engine
from ops.stack import Stack, open_stack
from ops.toolchain import console
from ops.toolchain.console import OpsError


def sample(named: str | None) -> None:
    """Run the sample of the stack that is up.

    Raises:
        OpsError: when the stack is not up, has no sample, or the sample does not end well.
    """
    stack = open_stack(named)
    if stack.settings.platform == "kubernetes":
        cluster.require(stack)
    found = stack.outputs()
    if not found.get("url"):
        raise OpsError(f"Stack {stack.name} is not up.", f"Bring it up first: {stack.make('up')}")
    if stack.settings.gitlab_runner is not None and not found.get("images"):
        raise _only_gitlab_can(stack)
    if stack.settings.platform == "kubernetes":
        _in_cluster(stack, found)
    else:
        _on_docker(stack, found)


def _only_gitlab_can(stack: Stack) -> OpsError:
    runner = stack.settings.gitlab_runner
    example = "examples/gitlab-kubernetes"
    if stack.settings.platform == "docker":
        example = "examples/gitlab-dind" if runner and runner.engine == "dind" else "examples/gitlab-docker"
    url = runner.url if runner else "GitLab"
    return OpsError(
        f"Stack {stack.name} has no sample that can be started from here: its runner takes jobs from {url} alone.",
        f"Push what is in {example} to a project there that may use the runner, and watch its pipeline.",
    )


def _on_docker(stack: Stack, found: dict[str, Any]) -> None:
    from pydantic import SecretStr

    from ops.jenkins import Jenkins
    from ops.sample import Engine, run_job, run_steps, show_image
    from ops.settings import stack_password

    if not found.get("sampleJob"):
        raise OpsError(
            f"Stack {stack.name} has no sample job.", "It is there with `setup: casc` and `sample: true`, the defaults."
        )
    address = found.get("engine", found["dockerHost"])
    place = Engine(
        address=address,
        client=lambda: engine.client(stack.settings),
        container=found["container"],
        own=address != found["dockerHost"],
    )
    if not run_steps(place, console.out()):
        password = SecretStr(stack_password(stack))
        with Jenkins(found["url"], found["adminUser"], password) as jenkins:
            run_job(jenkins, found["sampleJob"], console.out())
    show_image(place, console.out())


def _in_cluster(stack: Stack, found: dict[str, Any]) -> None:
    from ops import cluster_sample

    images = found.get("images") or {}
    if not images:
        raise OpsError(
            f"Stack {stack.name} builds no image.",
            "Add one to ci:builds, for example {name: website, context: {directory: images/website}}, then: make up",
        )
    name = "sample" if "sample" in images else next(iter(images))
    there = cluster.Cluster(cluster.of(stack))
    cluster_sample.run(there, name, images[name], found["buildsNamespace"], found["pullSecret"], console.out())
