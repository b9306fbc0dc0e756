"""The controller's image: a ready one, or one that is built on the engine's host."""

from pathlib import Path
from typing import Final

import pulumi
import pulumi_docker as docker

from components.settings import JenkinsSettings

CONTEXT: Final = Path(__file__).parent.parent / "jenkins" / "image"
"""The build context: the Dockerfile and the pinned plugins, and nothing else."""


def controller_image(name: str, settings: JenkinsSettings, opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """Register the image; give the reference under which the engine has it and by which a change is seen.

    A built image is built again when a file of its context, its base or a plugin changes. It stays on the host when the
    stack is destroyed, as a ready one does, for other containers may use it.
    """
    if settings.image is not None:
        return docker.RemoteImage(f"{name}-image", name=settings.image, keep_locally=True, opts=opts).image_id
    built = docker.Image(
        f"{name}-image",
        image_name=f"ci-jenkins:{pulumi.get_stack()}",
        build=docker.DockerBuildArgs(
            # Relative to the project, so that two clones of it have the same state.
            context=str(_relative(CONTEXT)),
            dockerfile=str(_relative(CONTEXT / "Dockerfile")),
            args={
                "BASE_IMAGE": settings.base_image,
                "DOCKER_CLI_IMAGE": settings.docker_cli_image,
                "EXTRA_PLUGINS": " ".join(settings.plugins),
            },
        ),
        skip_push=True,
        opts=opts,
    )
    return built.repo_digest


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
