"""The controller's image of the tests: a real Jenkins where one can be had, else the stand-in of a closed network."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest
import requests

from components.docker.image import CONTEXT
from components.settings.jenkins import JenkinsSettings
from setup import cache
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.support.verbs import Verbs

NAMED = "CI_TEST_JENKINS"
"""The variable that names an image, which must be a Jenkins with the pinned plugins and a docker client."""

PULL_SECONDS = 60
BUILD_SECONDS = 500
"""How long the download of the plugins may take. Later builds take them from the engine's cache."""

OWN = "ci-test-jenkins:1"
"""The image that the stack builds by default, under a name of the tests."""

END = "the script has ended"
"""What each script prints last."""

NOT_TRIED = f"no real Jenkins: this engine has no image of it and can pull none ({NAMED}=IMAGE names one)"


LACKS_PLUGIN = "is a Jenkins without the plugin"


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


class Remote:
    """A real Jenkins, asked as its administrator, and by what its script console prints."""

    def __init__(self, port: int, password: str, user: str = "admin") -> None:
        """Log in to a port of this machine."""
        self.url = f"http://127.0.0.1:{port}"
        self.session = requests.Session()
        self.session.auth = user, password

    @classmethod
    def of(cls, verbs: Verbs) -> Self:
        """Log in to the Jenkins of a stack that is deployed."""
        keys = verbs.keys["ci:jenkins"]
        return cls(keys["httpPort"], verbs.run("password").splitlines()[0], keys.get("adminUser", "admin"))

    def status(self, path: str = "api/json") -> int:
        """Return the status of an answer; 0 where none comes."""
        try:
            return self.session.get(f"{self.url}/{path}", timeout=10).status_code
        except requests.RequestException:
            return 0

    def script(self, groovy: str) -> str:
        """Run Groovy in Jenkins and return what it prints, without what surrounds it. Fails where it throws."""
        crumb = self.session.get(f"{self.url}/crumbIssuer/api/json", timeout=30).json()
        head = {crumb["crumbRequestField"]: crumb["crumb"]}
        text = f"def jenkins = jenkins.model.Jenkins.get()\n{groovy}\nprint('{END}')\nnull"
        answer = self.session.post(f"{self.url}/scriptText", {"script": text}, headers=head, timeout=300)
        assert answer.status_code == requests.codes.ok, answer.text
        printed, end, _ = answer.text.rpartition(END)
        assert end, answer.text
        return re.sub("\x1b\\[8mha:[^\x1b]*\x1b\\[0m", "", printed).strip()  # the console's notes

    def build(self, job: str) -> str:
        """Build a job, wait for its end, and return its log, of which the last line is the result."""
        run = f"jenkins.getItemByFullName('{job}').scheduleBuild2(0).get()"
        return self.script(f"print({run}.log)")

    def start(self, job: str) -> None:
        """Start a build of a job and wait until it runs."""
        self.script(f"jenkins.getItemByFullName('{job}').scheduleBuild2(0).waitForStart()")

    def log(self, job: str, build: str = "lastBuild") -> str:
        """Return the log of a build; nothing where there is none."""
        return self.script(f"print(jenkins.getItemByFullName('{job}').{build}?.log ?: '')")

    def answer(self, job: str) -> None:
        """Wait until the last build of a job asks whether to go on, and say that it shall."""
        action = f"jenkins.getItem('{job}').lastBuild.allActions.find {{ it.class.simpleName == 'InputAction' }}"
        eventually(lambda: self.script(f"print({action}?.executions?.size())") == "1", seconds=60, every=1)
        self.script(f"{action}.executions[0].proceed([:])")

    def numbers(self) -> dict[str, int]:
        """Return the number of builds that each job has had."""
        jobs = "jenkins.allItems(hudson.model.Job)"
        lines = self.script(f"{jobs}.each {{ println(it.fullName + '=' + (it.nextBuildNumber - 1)) }}").splitlines()
        return {name: int(count) for name, _, count in (line.rpartition("=") for line in lines)}


def require_plugin(image: str, name: str) -> None:
    """Skip the test where an image of Jenkins lacks a plugin, for example one that the pins did not have before."""
    listed = _docker(
        "run",
        "--rm",
        "--network",
        "none",
        "--entrypoint",
        "ls",
        image,
        "/usr/share/jenkins/ref/plugins",
        seconds=PULL_SECONDS,
    )
    if f"{name}.jpi" not in listed.stdout:
        pytest.skip(f"{image} {LACKS_PLUGIN} {name}")


class Visitor:
    """One who asks Jenkins for pages with a name and a password, or with neither."""

    def __init__(self, url: str, user: str = "", password: str = "") -> None:
        self.url, self.session = url, requests.Session()
        self.session.auth = (user, password) if user else None

    def get(self, path: str) -> int:
        return self.session.get(f"{self.url}/{path}", timeout=60, allow_redirects=False).status_code

    def send(self, path: str, **form: str) -> requests.Response:
        """Send a form with Jenkins' token against forged requests, as the web pages do."""
        crumb = self.session.get(f"{self.url}/crumbIssuer/api/json", timeout=60).json()
        headers = {crumb["crumbRequestField"]: crumb["crumb"]}
        return self.session.post(f"{self.url}/{path}", form, headers=headers, timeout=60, allow_redirects=False)

    def post(self, path: str) -> int:
        return self.send(path).status_code


def _available(name: str) -> bool:
    if _docker("image", "inspect", name, seconds=PULL_SECONDS).returncode == 0:
        return True
    try:
        return _docker("pull", "--quiet", name, seconds=PULL_SECONDS).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _docker(*words: str, seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *words], capture_output=True, text=True, timeout=seconds, check=False)
