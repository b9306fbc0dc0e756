"""The controller's image of the tests: a real Jenkins where one can be had, else the stand-in of a closed network."""

import functools
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from components.docker.image import CONTEXT
from components.settings.jenkins import JenkinsSettings
from setup import cache

NAMED = "CI_TEST_JENKINS"
"""The variable that names an image, which must be a Jenkins with the pinned plugins and a docker client."""

PULL_SECONDS = 60
BUILD_SECONDS = 500
"""How long the download of the plugins may take. Later builds take them from the engine's cache."""

OWN = "ci-test-jenkins:1"
"""The image that the stack builds by default, under a name of the tests."""

NOT_TRIED = f"no real Jenkins: this engine has no image of it and can pull none ({NAMED}=IMAGE names one)"


@functools.cache
def real() -> str | None:
    """Return the image of a real Jenkins: the one that is named, or the stack's own; None if neither can be had.

    Fails where the named one can't be had, and where the stack's own can't be built from its base.
    """
    if named := os.environ.get(NAMED):
        assert _available(named), f"{NAMED}={named}: the engine has no such image and can't pull it"
        return named
    settings = JenkinsSettings()
    with cache.locked(Path(tempfile.gettempdir()) / "ci-test-jenkins.lock", "another test that builds Jenkins' image"):
        if not all(map(_available, (settings.base_image, settings.docker_cli_image))):
            return None
        arguments = {"BASE_IMAGE": settings.base_image, "DOCKER_CLI_IMAGE": settings.docker_cli_image}
        words = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
        built = _docker("build", "--tag", OWN, *words, str(CONTEXT), seconds=BUILD_SECONDS)
        assert built.returncode == 0, built.stdout + built.stderr
    return OWN


def image() -> str:
    """Return the image of the controller that a test deploys. The engine has it."""
    return real() or stand_in()


@functools.cache
def stand_in() -> str:
    """Return the image of the stand-in: a page, a docker client, and the sample's steps. The engine has it."""
    from offline import images  # noqa: PLC0415

    images.ensure("unix:///var/run/docker.sock")
    return images.CONTROLLER


def require() -> str:
    """Return the image of a real Jenkins; skip the test where there is none."""
    return real() or pytest.skip(NOT_TRIED)


def _available(name: str) -> bool:
    if _docker("image", "inspect", name, seconds=PULL_SECONDS).returncode == 0:
        return True
    try:
        return _docker("pull", "--quiet", name, seconds=PULL_SECONDS).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _docker(*words: str, seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *words], capture_output=True, text=True, timeout=seconds, check=False)
