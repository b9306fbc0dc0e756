"""`sample`: show that the CI works. On a Docker host by Jenkins' sample pipeline, in a cluster by one of its images."""

# ruff: noqa: PLC0415 - imported late: each platform needs libraries that the other does not

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ops import choice, deploy, engine, stackfile
from ops.clone import here
from ops.toolchain import console
from ops.toolchain.errors import Trouble

if TYPE_CHECKING:
    from ops.local import Workspace


def sample(named: str | None) -> None:
    """Run the sample of the stack that is up.

    Raises:
        Trouble: when the stack is not up, has no sample, or the sample does not end well.
    """
    settings = deploy.known_settings(here(), named)
    workspace = deploy.open_workspace(named)
    stack = named or choice.remembered(workspace.clone)
    found = deploy.outputs(workspace, stack) if workspace.exists(stack) else {}
    if not found.get("url"):
        raise Trouble(f"Stack {stack} is not up.", f"Bring it up first: make up STACK={stack}")
    if stackfile.gitlab_runner(settings) and not found.get("images"):
        raise _only_gitlab_can(settings, stack)
    if stackfile.platform(settings) == "kubernetes":
        _in_cluster(workspace, settings, stack, found)
    else:
        _on_docker(workspace, stack, found)


def _only_gitlab_can(settings: dict[str, Any], stack: str) -> Trouble:
    example = "examples/gitlab-kubernetes"
    if stackfile.platform(settings) == "docker":
        engine = stackfile.setting(settings, "ci:gitlabRunner", "engine", default="socket")
        example = "examples/gitlab-dind" if engine == "dind" else "examples/gitlab-docker"
    url = stackfile.setting(settings, "ci:gitlabRunner", "url", default="GitLab")
    return Trouble(
        f"Stack {stack} has no sample that can be started from here: its runner takes jobs from {url} alone.",
        f"Push what is in {example} to a project there that may use the runner, and watch its pipeline.",
    )


def _on_docker(workspace: Workspace, stack: str, found: dict[str, Any]) -> None:
    from pydantic import SecretStr

    from ops.jenkins import Jenkins
    from ops.sample import Engine, run_job, run_steps, show_image
    from ops.settings import stack_password

    if not found.get("sampleJob"):
        raise Trouble(
            f"Stack {stack} has no sample job.", "It is there with `setup: casc` and `sample: true`, the defaults."
        )
    address = found.get("engine", found["dockerHost"])
    place = Engine(
        address=address,
        client=lambda: engine.client(workspace, stack),
        container=found["container"],
        own=address != found["dockerHost"],
    )
    if not run_steps(place, console.out()):
        password = SecretStr(stack_password(workspace, stack))
        with Jenkins(found["url"], found["adminUser"], password) as jenkins:
            run_job(jenkins, found["sampleJob"], console.out())
    show_image(place, console.out())


def _in_cluster(workspace: Workspace, settings: dict[str, Any], stack: str, found: dict[str, Any]) -> None:
    from ops import cluster, cluster_sample

    images = found.get("images") or {}
    if not images:
        raise Trouble(
            f"Stack {stack} builds no image.",
            "Add one to ci:builds, for example {name: website, context: {directory: images/website}}, then: make up",
        )
    name = "sample" if "sample" in images else next(iter(images))
    there = cluster.Cluster(cluster.of(workspace.clone, settings))
    cluster_sample.run(there, name, images[name], found["buildsNamespace"], found["pullSecret"], console.out())
