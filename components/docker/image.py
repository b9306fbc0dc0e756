"""The controller's image: a ready one, or one that is built on the engine's host."""

from pathlib import Path
from typing import Final

import pulumi
import pulumi_docker as docker

from ..settings import JenkinsSettings

CONTEXT: Final = Path(__file__).parent.parent / "jenkins" / "image"
"""The folder of the Dockerfile and the pinned plugins. Its .dockerignore leaves every file out of the context."""


def built_name(controller: str) -> str:
    """Return the repository of the image that is built for a controller. Its tag is the stack's name."""
    return controller.lower()


def pinned(name: str, reference: str, opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """Register a ready image; give the id that the engine had for it when the stack first saw this reference.

    Whoever may build on the engine can put another image under a name, and the plugin looks a name up at each refresh.
    So the first id is kept in the state. A reference with a digest names one image for ever, and is taken as it is.
    """
    image = docker.RemoteImage(f"{name}-image", name=reference, keep_locally=True, opts=opts)
    found = image.image_id
    if "@" in reference:
        return found
    kept = pulumi.Stash(
        # Another reference is another pin.
        f"{name}-image-{reference}",
        input=found,
        # On another host, what the reference names there.
        opts=pulumi.ResourceOptions(parent=opts.parent, ignore_changes=["input"], replace_with=[image]),
    ).output
    pulumi.Output.all(found, kept).apply(lambda ids: _tell_of_another(reference, *ids))
    return kept


def _tell_of_another(reference: str, found: str, kept: str) -> None:
    if found != kept:
        pulumi.log.warn(
            f"{reference} names another image on the engine's host now ({found}). The stack keeps the one that it was "
            f"first deployed with ({kept}). To take another, give its digest ({reference}@sha256:...) or another tag."
        )


def plugins() -> str:
    """Return the pinned plugins, as the file says them."""
    return (CONTEXT / "plugins.txt").read_text(encoding="utf-8")


def built_image(
    name: str, settings: JenkinsSettings, platform: str, opts: pulumi.ResourceOptions
) -> pulumi.Output[str]:
    """Register the controller's image; give its id on the engine's host, by which a change is seen.

    It is built again when the Dockerfile, the base, a plugin or the engine's platform changes, and for nothing else:
    Pulumi's plugin hashes each other file of a context with its mode, which a checkout's umask decides. It stays on the
    host when the stack is destroyed, as a ready one does, for other containers may use it.

    platform: the engine's, as `linux/amd64`. By itself the plugin takes that of the machine that it runs on.
    """
    built = docker.Image(
        f"{name}-image",
        image_name=f"{built_name(name)}:{pulumi.get_stack()}",
        build=docker.DockerBuildArgs(
            # Relative to the project, so that two clones of it have the same state.
            context=str(_relative(CONTEXT)),
            dockerfile=str(_relative(CONTEXT / "Dockerfile")),
            platform=platform,
            args={
                "BASE_IMAGE": settings.base_image,
                "DOCKER_CLI_IMAGE": settings.docker_cli_image,
                "PLUGINS": plugins(),
                "EXTRA_PLUGINS": " ".join(sorted(settings.plugins)),
            },
        ),
        skip_push=True,
        opts=opts,
    )
    return built.repo_digest


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
