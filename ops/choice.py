"""Which stack a verb acts on when none is named: `dev`, or `offline` where Jenkins' image can't be had."""

# ruff: noqa: PLC0415 - imported late: what a quiet `make up` does not need is not to cost it time

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ops import stackfile
from ops.toolchain import cache, console, docker_engine
from ops.toolchain.errors import Trouble

if TYPE_CHECKING:
    from pathlib import Path

    from ops.clone import Clone

USUAL = "dev"
STAND_IN = "offline"


def remembered(clone: Clone) -> str:
    """The stack that a verb without a name acts on."""
    try:
        found = json.loads(clone.remembered.read_text())["stack"]
    except (OSError, ValueError, KeyError, TypeError):
        return USUAL
    return found if isinstance(found, str) and clone.committed(found).is_file() else USUAL


def remember(clone: Clone, stack: str, why: str = "") -> None:
    """Let later verbs act on this stack."""
    text = json.dumps({"stack": stack, "why": why})
    if not clone.remembered.exists() or clone.remembered.read_text() != text:
        cache.write(clone.remembered, text)


def came_up(clone: Clone, stack: str) -> None:
    """Let later verbs act on the stack that came up, if it is one of the two that take each other's place.

    Any other has to be named each time: nobody is to take `prod` down because it was the last one that was worked on.
    """
    if stack == USUAL:
        forget(clone)
    elif stack == STAND_IN and remembered(clone) != STAND_IN:
        remember(clone, STAND_IN)


def with_stack(clone: Clone, stack: str, text: str) -> str:
    """A text with the stack in each `make` that it tells to do, where one without a name would act on another."""
    if stack == remembered(clone):
        return text
    return re.sub(r"\bmake (?:up|preview|status|set KEY=[\w:]++)(?! STACK=)", rf"\g<0> STACK={stack}", text)


def forget(clone: Clone) -> None:
    """Let the next `up` decide anew."""
    clone.remembered.unlink(missing_ok=True)


def why(clone: Clone) -> str:
    """Why the remembered stack was taken instead of the usual one."""
    try:
        return str(json.loads(clone.remembered.read_text()).get("why", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def for_up(clone: Clone, named: str | None, settings: dict[str, Any]) -> str:
    """The stack to bring up.

    Args:
        clone: the clone.
        named: what the user asked for, if anything.
        settings: the settings of the named or usual stack.

    Raises:
        Trouble: when a stack was named whose images can't be had.
    """
    if named is None and remembered(clone) != USUAL:
        reason = f" ({why(clone)})" if why(clone) else ""
        console.note(f"stack {remembered(clone)}, as before{reason}; the usual one: make up STACK={USUAL}")
        return remembered(clone)
    stack = named or USUAL
    if clone.state_file(stack).exists() and resources(clone, stack):
        return stack  # It runs already, so its images were had; asking the registry each time would cost seconds.
    trouble = image_trouble(settings)
    if not trouble:
        return stack
    if named is not None or stackfile.gitlab_runner(settings) or not clone.committed(STAND_IN).is_file():
        raise Trouble(
            f"Stack {stack} can't be brought up: {trouble}.",
            f"Let the engine reach the image's registry, or try the stand-in: "
            f"make up STACK={twin(clone, stack, settings)}",
        )
    console.note(f"{trouble}. Bringing up stack {STAND_IN} instead, with a stand-in that is not Jenkins.")
    remember(clone, STAND_IN, trouble)
    return STAND_IN


def twin(clone: Clone, stack: str, settings: dict[str, Any]) -> str:
    """The stack that is this one with images that stand in, or else the one of its kind."""
    own = f"{stack}-{STAND_IN}"
    if clone.committed(own).is_file():
        return own
    return f"gitlab-{STAND_IN}" if stackfile.gitlab_runner(settings) else STAND_IN


def image_trouble(settings: dict[str, Any]) -> str:
    """Why an image that a stack starts from can't be had, as a sentence without its stop; empty if all can."""
    host = docker_host(settings)
    if stackfile.setting(settings, "ci:platform") != "docker" or not host.startswith("unix://"):
        return ""
    for image in images(settings):
        if not docker_engine.has_image(host, image):
            with console.step(f"asking whether the image {image} can be pulled", "at most 15 s"):
                reason = docker_engine.pull_trouble(host, image)
            if reason:
                return f"the image {image} is neither on the engine nor can it be pulled ({reason})"
    return ""


def images(settings: dict[str, Any]) -> list[str]:
    """The images that a Docker stack pulls, by its settings and their defaults."""
    wanted = _runners(settings) if stackfile.gitlab_runner(settings) else _jenkins(settings)
    return [image for image in [*wanted, *_besides(settings)] if not _stands_in(image)]


def _runners(settings: dict[str, Any]) -> list[str]:
    from components.settings import GitlabRunnerSettings

    default = GitlabRunnerSettings.model_fields["image"].default
    return [str(stackfile.setting(settings, "ci:gitlabRunner", "image", default=default))]


def _jenkins(settings: dict[str, Any]) -> list[str]:
    from components.settings.jenkins import JenkinsSettings

    def value(name: str, field: str) -> str:
        return str(stackfile.setting(settings, "ci:jenkins", name, default=JenkinsSettings.model_fields[field].default))

    own = stackfile.setting(settings, "ci:jenkins", "image")
    if own:
        return [str(own)]
    if value("dockerClient", "docker_client") == "host":
        return [value("baseImage", "base_image")]
    return [value("baseImage", "base_image"), value("dockerCliImage", "docker_cli_image")]


def _besides(settings: dict[str, Any]) -> list[str]:
    """The images of what runs beside Jenkins, for the access that a stack chooses."""
    from components.settings.engines import DindSettings
    from components.settings.proxy import ProxySettings

    fields = {"dind": DindSettings.model_fields, "proxy": ProxySettings.model_fields}
    access = str(stackfile.setting(settings, "ci:docker", "access", default=""))
    if access not in fields:
        return []
    default = fields[access]["image"].default
    return [str(stackfile.setting(settings, "ci:docker", access, "image", default=default))]


def docker_host(settings: dict[str, Any]) -> str:
    """Where the stack's engine listens."""
    return str(stackfile.setting(settings, "ci:docker", "host", default=docker_engine.DEFAULT_HOST))


def stand_ins(settings: dict[str, Any]) -> list[str]:
    """The stand-in images that a stack's settings name."""
    section = "ci:gitlabRunner" if stackfile.gitlab_runner(settings) else "ci:jenkins"
    named = [str(stackfile.setting(settings, section, "image", default="")), *_besides(settings)]
    return [image for image in named if _stands_in(image)]


def _stands_in(image: str) -> bool:
    return image.startswith("ci-offline-")


def resources(clone: Clone, stack: str) -> list[dict[str, Any]]:
    """What a stack of the clone's own backend has deployed, as its state lists it."""
    checkpoint = read_state(clone, stack).get("checkpoint") or {}
    return (checkpoint.get("latest") or {}).get("resources") or []


def read_state(clone: Clone, stack: str) -> dict[str, Any]:
    """A stack of the clone's own backend as it is stored; empty if it can't be read."""
    return _read_json(clone.state_file(stack))


def _read_json(path: Path) -> dict[str, Any]:
    """A JSON file's mapping, or nothing."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
