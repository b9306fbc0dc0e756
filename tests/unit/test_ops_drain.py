"""An update that ends containers in which builds run waits for them. The texts are those of Jenkins and its plugins."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import docker.errors
import pytest
import yaml
from pydantic import SecretStr
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from ops import deploy, drain, engine, jenkins
from setup import engine as local_engine
from tests.support import made_stack

DUMPS = yaml.safe_load(Path(__file__).with_name("thread_dumps.yaml").read_text())
WORK, PAUSED = (next(each["dump"] for each in DUMPS if each["is_at_work"] is at_work) for at_work in (True, False))
APP, SITE = "job/team/job/my%20app/7/", "job/site/3/"
CONTROLLER = "urn:pulumi:dev::ci::ci:docker:Jenkins$docker:index/container:Container::jenkins-controller"
AGENT = "urn:pulumi:dev::ci::ci:docker:Agents$docker:index/container:Container::agents-2"
DONE, FAILED, NOTHING = (
    deploy.Done(0, {"replace": 1}, {}),
    deploy.Done(1, {"replace": 1}, {}),
    deploy.Done(0, {"same": 9}, {}),
)


class World:
    """A Jenkins whose builds and logs a test gives, one for each time that it is asked, and a stack that has it."""

    def __init__(self, server: HTTPServer, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.server, self.root, self.patch = server, root, patch
        self.step, self.host = {"op": "replace", "urn": CONTROLLER}, local_engine.DEFAULT_HOST
        self.posted: list[str] = []
        patch.setattr(drain, "POLL_SECONDS", 0.001)
        patch.setattr(jenkins, "AWAY_SECONDS", 0)
        patch.setattr("signal.signal", lambda *_: None)
        patch.setattr(engine, "is_stand_in", lambda *_: False)
        server.expect_request("/crumbIssuer/api/json").respond_with_json({"crumb": "c", "crumbRequestField": "Crumb"})
        for path in ("/quietDown", "/cancelQuietDown"):
            server.expect_request(path, method="POST", headers={"Crumb": "c"}).respond_with_handler(self._post)

    def _post(self, request: Request) -> Response:
        self.posted.append(request.path)
        return Response(status=302, headers={"Location": "."})

    def builds(self, *times: list[str]) -> None:
        """Let these builds run, each time that Jenkins is asked; the last for ever."""
        seen = itertools.chain(times, itertools.repeat(times[-1]))
        self.server.expect_request("/computer/api/json").respond_with_handler(lambda _: answer(next(seen)))

    def dumps(self, path: str, *texts: str) -> None:
        """Let these be a build's thread dumps, one for each time that Jenkins is asked; the last for ever."""
        seen = itertools.chain(texts, itertools.repeat(texts[-1]))
        page = "<l:copyButton text={0}><pre>{0}</pre>".format
        self.server.expect_request(f"/{path}threadDump/").respond_with_handler(lambda _: Response(page(next(seen))))

    def update(self, run: Callable[[], deploy.Done] = lambda: DONE, seconds: int = 20) -> deploy.Done:
        stack = made_stack.on_docker(self.root, jenkins={"drainSeconds": seconds})
        found = {"setup": "casc", "container": "ci", "adminUser": "admin", "adminPassword": "correct horse"}
        found |= {"url": self.server.url_for(""), "dockerHost": self.host}
        self.patch.setattr(stack, "outputs", lambda _: found)
        self.patch.setattr(stack, "ask", lambda *_, **__: json.dumps({"steps": [self.step]}))
        return drain.update(stack, ["--yes"], run)


def answer(builds: list[str]) -> Response:
    """Give the answer of a controller that runs these pipelines, one of them inside of `node`."""
    flow, placed = "org.jenkinsci.plugins.workflow.job.WorkflowRun", "ExecutorStepExecution$PlaceholderTask"
    running = [{"currentExecutable": {"_class": flow, "url": f"http://inside:8080/ci/{each}"}} for each in builds]
    node: list[dict[str, Any]] = [{"currentExecutable": {"_class": f"{placed}$PlaceholderExecutable"}}]
    body = {"computer": [{"executors": [*node, {"currentExecutable": None}], "oneOffExecutors": running}]}
    return Response(json.dumps(body), content_type="application/json")


@pytest.fixture
def world(httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(httpserver, tmp_path, monkeypatch)


def test_builds_are_named_and_waited_for_until_each_has_ended_or_paused(world: World, capsys: Any) -> None:
    world.builds([APP, SITE], [APP, SITE], [APP, SITE], [APP])
    world.dumps(SITE, WORK)
    world.dumps(APP.replace("%20", " "), WORK, WORK, WORK, PAUSED)
    asked: list[int] = []

    def run() -> deploy.Done:
        asked.append(sum("/my app/" in request.path for request, _ in world.server.log))
        return DONE

    assert world.update(run) == DONE
    assert (asked, world.posted) == ([4], ["/quietDown"])
    said = capsys.readouterr().err
    assert "waiting for Jenkins' builds site #3, team/my app #7 (at most 20 s)" in said
    assert "lose" not in said


def test_after_the_bound_the_update_goes_on_and_names_the_builds(world: World, capsys: Any) -> None:
    world.builds([APP, SITE])
    world.dumps(SITE, PAUSED)  # the other one is no pipeline: Jenkins has no thread dump of it
    assert world.update(seconds=1) == DONE
    assert capsys.readouterr().err.endswith("may lose a plain `sh` step: team/my app #7\n")


@pytest.mark.parametrize("case", DUMPS, ids=lambda case: case["name"])
def test_a_build_is_at_work_as_long_as_one_of_its_branches_is_in_a_step_that_a_restart_could_end(
    world: World, case: dict[str, Any]
) -> None:
    world.dumps(SITE, case["dump"])
    client = jenkins.Jenkins(world.server.url_for(""), "admin", SecretStr("correct horse"), away_seconds=0)
    assert client.is_at_work("job/site/3") is case["is_at_work"]


def test_an_update_that_fails_is_stopped_or_changes_nothing_lets_builds_start_again(world: World) -> None:
    def stopped() -> deploy.Done:
        raise KeyboardInterrupt

    world.builds([])
    assert world.update(lambda: FAILED) == FAILED
    assert world.update(lambda: NOTHING) == NOTHING
    with pytest.raises(KeyboardInterrupt):
        world.update(stopped)
    assert world.posted == ["/quietDown", "/cancelQuietDown"] * 3


@pytest.mark.parametrize(
    ("step", "stands_in", "seconds", "asked"),
    [
        (("replace", CONTROLLER), False, 20, 1),
        (("delete", CONTROLLER), False, 20, 1),
        # Jenkins goes on, so it has to start builds again.
        (("replace", AGENT), False, 20, 2),
        (("update", CONTROLLER), False, 20, 0),
        (("replace", "urn::proxy-container"), False, 20, 2),
        (("delete", "urn::engine-container"), False, 20, 2),
        (("replace", "urn::pruner-container"), False, 20, 0),
        (("replace", CONTROLLER), True, 20, 0),
        (("replace", CONTROLLER), False, 0, 0),
    ],
)
def test_only_a_real_jenkins_whose_builds_lose_a_container_becomes_quiet(
    world: World, step: tuple[str, str], stands_in: object, seconds: int, asked: int
) -> None:
    world.builds([])
    world.step = {"op": step[0], "urn": step[1]}
    world.patch.setattr(engine, "is_stand_in", lambda *_: stands_in)
    world.update(seconds=seconds)
    assert len(world.posted) == asked


def test_a_jenkins_that_moves_to_another_host_is_not_looked_for_there(world: World) -> None:
    world.builds([])
    world.host = "ssh://ci@before.example.org"
    world.patch.setattr(engine, "is_stand_in", mock.Mock(side_effect=docker.errors.NotFound("no such container")))
    world.update()
    assert world.posted == ["/quietDown"]


def test_a_jenkins_that_does_not_answer_holds_no_update_up(world: World, capsys: Any) -> None:
    world.server.expect_request("/computer/api/json").respond_with_data("", 503)
    assert world.update() == DONE
    assert "The update goes on without waiting" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("urn", "seconds", "said"),
    [(CONTROLLER, 300, "up to 300 s"), (AGENT, 300, "up to 300 s"), (CONTROLLER, 0, "ci:jenkins.drainSeconds")],
)
def test_a_preview_says_whether_an_update_would_wait(
    world: World, capsys: Any, urn: str, seconds: int, said: str
) -> None:
    stack = made_stack.on_docker(world.root, jenkins={"drainSeconds": seconds})
    event = json.dumps({"resourcePreEvent": {"metadata": {"op": "replace", "urn": urn}}}, separators=(",", ":"))
    world.patch.setattr(stack, "run", lambda *words, **_: Path(words[2]).write_text(event) * 0)
    deploy.pulumi(stack, "preview", [])
    assert said in capsys.readouterr().err
    deploy.pulumi(stack, "destroy", [])
    assert capsys.readouterr().err == ""
