"""A plain `pulumi up` waits for Jenkins' builds, with the real CLI. A Stash stands for the controller's container."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from components.state import DOCKER_CI
from ops.stack import Stack
from tests.support import tiny
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = f"""\
import sys
import pulumi
sys.path.insert(0, {str(ROOT)!r})
from components import former_names, state
from components.docker import drain

drain._KINDS, drain._POLL_SECONDS = {{"pulumi:index:Stash"}}, 0.1
config = pulumi.Config()
seconds = config.require_int("seconds")
password = pulumi.Output.secret("canary-5d1e-password")

def ci(name, url, image, opts=None):
    root = pulumi.ComponentResource(state.DOCKER_CI, name, {{}}, opts)
    inside = pulumi.ResourceOptions(parent=root)
    held = drain.Drain(name, inside, host="unix:///docker.sock", seconds=seconds, removes=not image)
    if not image:
        return {{}}
    opts = pulumi.ResourceOptions(parent=root, transformations=[held.hold])
    jenkins = pulumi.ComponentResource("ci:docker:Jenkins", f"{{name}}-jenkins", {{}}, opts)
    before = pulumi.ResourceOptions(parent=jenkins)
    network = pulumi.Stash(f"{{name}}-agents-network", input=image, opts=before)
    if config.get("broken"):
        before.depends_on = network.output.apply(lambda _: [][1])
    pulumi.Stash(f"{{name}}-jenkins-controller", input=image, opts=before)
    held.keep(url, "admin", password)
    outputs = {{"platform": "docker", "images": {{}}, "url": url, "adminUser": "admin", "adminPassword": password}}
    root.register_outputs(outputs)
    return outputs

for name, value in ci("ci", config.require("url"), config.get("image"), former_names.of("ci")).items():
    pulumi.export(name, value)
if config.get("second"):
    ci("ci-second", config.get("second"), config.get("secondImage"))
"""


class Jenkins:
    """A Jenkins that a test gives builds, and what is asked of it."""

    def __init__(self, server: HTTPServer) -> None:
        self.server, self.runs, self.posted = server, False, list[str]()
        self.starting = list[int]()
        """The statuses that it answers first, as it starts."""
        crumb = {"crumb": "c", "crumbRequestField": "Crumb"}
        server.expect_request("/crumbIssuer/api/json").respond_with_json(crumb)
        server.expect_request("/computer/api/json").respond_with_handler(self._computer)
        server.expect_request("/login").respond_with_data("", 503)
        server.expect_request("/job/app/7/threadDump/").respond_with_data("Thread #1\n  at DSL.sh(running)")
        for path in ("/quietDown", "/cancelQuietDown"):
            server.expect_request(path, method="POST").respond_with_handler(self._post)

    def _computer(self, _: Request) -> Response:
        if self.starting:
            return Response(status=self.starting.pop(0))
        executors = [{"currentExecutable": {"url": "http://inside/job/app/7/"}}] if self.runs else []
        return Response(json.dumps({"computer": [{"executors": executors, "oneOffExecutors": []}]}))

    def _post(self, request: Request) -> Response:
        self.posted.append(request.path.removeprefix("/"))
        return Response(status=302, headers={"Location": "."})

    def let_go(self) -> None:
        """Wait until builds may start again, and forget what was asked."""
        eventually(lambda: self.posted[-1:] == ["cancelQuietDown"], seconds=20)
        self.posted.clear()


@pytest.fixture
def jenkins(httpserver: HTTPServer) -> Jenkins:
    return Jenkins(httpserver)


@pytest.fixture
def stack(tmp_path: Path, jenkins: Jenkins) -> Stack:
    made = tiny.stack(tiny.clone(tmp_path / "clone", PROGRAM))
    made.prepare()
    configure(made, url=jenkins.server.url_for("/"), image="1", seconds=30)
    assert "waiting" not in pulumi(made, "up", "--yes", "--skip-preview")
    assert jenkins.posted == [], "the first deployment has nothing to wait for"
    return made


def configure(stack: Stack, **keys: Any) -> None:
    """Set keys of the stack's file; None removes one."""
    path = stack.clone.root / "stacks/Pulumi.dev.yaml"
    content = yaml.safe_load(path.read_text())
    content["config"] |= {f"ci:{key}": value for key, value in keys.items()}
    path.write_text(
        yaml.safe_dump({**content, "config": {k: v for k, v in content["config"].items() if v is not None}})
    )


def start(stack: Stack, *words: str) -> subprocess.Popen[str]:
    command = [str(stack.tools.pulumi), *words, "--stack", "dev", "--non-interactive"]
    return subprocess.Popen(
        command, cwd=stack.clone.root, env=stack.env, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def pulumi(stack: Stack, *words: str, fails: bool = False) -> str:
    """Run a plain `pulumi`; return what it printed."""
    with start(stack, *words) as process:
        text, _ = process.communicate(timeout=120)
    assert (process.returncode != 0) is fails, text
    return text


def up(stack: Stack, **kind: bool) -> str:
    return pulumi(stack, "up", "--yes", "--skip-preview", **kind)


def waits(stack: Stack, jenkins: Jenkins) -> None:
    """Assert that an update waits for the build that runs, and goes on when that ends."""
    jenkins.runs = True
    with start(stack, "up", "--yes", "--skip-preview") as process:
        eventually(lambda: "quietDown" in jenkins.posted, seconds=60)
        asked = len(jenkins.server.log)
        eventually(lambda: len(jenkins.server.log) > asked + 6, seconds=60)  # it asks on and on
        assert process.poll() is None
        assert jenkins.posted == ["quietDown"]
        jenkins.runs = False
        text, _ = process.communicate(timeout=120)
    assert process.returncode == 0, text
    assert "waiting for Jenkins' builds app #7: at most 30 s (ci:jenkins.drainSeconds)" in text
    jenkins.let_go()


def test_an_update_waits_for_running_builds_the_preview_names_them_and_the_next_has_nothing_to_change(
    stack: Stack, jenkins: Jenkins
) -> None:
    jenkins.runs = True
    assert "app #7" not in pulumi(stack, "preview")
    configure(stack, image="2")
    preview = pulumi(stack, "preview")
    assert "The update waits for Jenkins' builds app #7: at most 30 s" in preview
    assert jenkins.posted == []
    waits(stack, jenkins)
    jenkins.runs = True
    for words in (("up", "--yes", "--skip-preview"), ("refresh", "--yes", "--skip-preview"), ("destroy", "--yes")):
        assert "app #7" not in pulumi(stack, *words)
    assert jenkins.posted == []
    assert "canary" not in "".join(map(str, stack.clone.root.rglob("*.json")))


def test_after_an_update_that_failed_or_was_interrupted_the_next_waits_again(stack: Stack, jenkins: Jenkins) -> None:
    configure(stack, image="2", broken="yes")
    up(stack, fails=True)
    jenkins.let_go()
    configure(stack, broken=None)
    jenkins.runs = True
    with start(stack, "up", "--yes", "--skip-preview") as process:
        eventually(lambda: "quietDown" in jenkins.posted, seconds=60)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode
    jenkins.let_go()
    pulumi(stack, "cancel", "--yes")
    waits(stack, jenkins)


@pytest.mark.parametrize("knew_digests", [False, True])
def test_what_was_deployed_without_a_root_component_is_waited_for_once_unless_it_had_the_digests(
    stack: Stack, jenkins: Jenkins, *, knew_digests: bool
) -> None:
    deployed = json.loads(pulumi(stack, "stack", "export"))
    was = [
        each
        for each in deployed["deployment"]["resources"]
        if each["type"] != DOCKER_CI and (knew_digests or not each["urn"].endswith("-deployed"))
    ]
    text = json.dumps({**deployed, "deployment": {**deployed["deployment"], "resources": was}})
    text = text.replace(f"{DOCKER_CI}$", "").replace(f"{DOCKER_CI}::ci", "pulumi:pulumi:Stack::ci-dev")
    (file := stack.clone.root / "state.json").write_text(re.sub("::ci-(?!dev)", "::", text))
    pulumi(stack, "stack", "import", "--file", str(file))
    if not knew_digests:
        waits(stack, jenkins)
    jenkins.runs = True
    assert "app #7" not in up(stack)


def test_a_jenkins_that_starts_and_so_refuses_the_right_password_is_asked_again(stack: Stack, jenkins: Jenkins) -> None:
    jenkins.runs, jenkins.starting = True, [503, 401, 503]
    configure(stack, image="2")
    assert "The update waits for Jenkins' builds app #7" in pulumi(stack, "preview")
    jenkins.starting = [503, 401]
    waits(stack, jenkins)


def test_of_two_cis_the_one_whose_containers_are_replaced_is_waited_for(stack: Stack, jenkins: Jenkins) -> None:
    with HTTPServer() as server:
        second = Jenkins(server)
        configure(stack, second=server.url_for("/"), secondImage="1")
        up(stack)
        assert jenkins.posted + second.posted == []
        for number, (key, replaced) in enumerate((("image", jenkins), ("secondImage", second)), 2):
            configure(stack, **{key: str(number)})
            waits(stack, replaced)
            assert jenkins.posted + second.posted == []
        configure(stack, secondImage=None)
        assert "starts no builds any more, since the update removes it" in up(stack)
        assert (jenkins.posted, second.posted) == ([], ["quietDown"])


def test_a_jenkins_that_the_stack_no_longer_has_is_waited_for_and_stays_quiet(stack: Stack, jenkins: Jenkins) -> None:
    configure(stack, image=None)
    assert "starts no builds any more, since the update removes it" in up(stack)
    assert jenkins.posted == ["quietDown"]


def test_after_the_bound_or_without_an_answer_the_update_goes_on_and_says_so(stack: Stack, jenkins: Jenkins) -> None:
    jenkins.runs = True
    configure(stack, image="2", seconds=1)
    assert "The update goes on. These builds may lose a plain `sh` step: app #7" in up(stack)
    jenkins.let_go()
    configure(stack, image="3", seconds=0)
    assert "app #7" not in up(stack)
    configure(stack, image="4", seconds=30)
    jenkins.server.clear_all_handlers()
    jenkins.server.expect_request("/computer/api/json").respond_with_data("", 401)
    assert "can't be asked for its builds (HTTP Error 401: UNAUTHORIZED). The update goes on" in up(stack)
    configure(stack, image="5")
    jenkins.server.clear_all_handlers()
    jenkins.server.expect_request("/computer/api/json").respond_with_data("no Jenkins but a stand-in", 404)
    assert "asked for its builds" not in up(stack)
