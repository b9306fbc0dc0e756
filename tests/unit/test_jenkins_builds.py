"""The builds of a Jenkins are asked for, held back and let go. The texts are those of Jenkins and its plugins."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from components.jenkins.builds import Builds, NoJenkinsError
from tests.support.waiting import eventually

DUMPS = yaml.safe_load(Path(__file__).with_name("thread_dumps.yaml").read_text())
WORK, PAUSED = (next(each["dump"] for each in DUMPS if each["is_at_work"] is at_work) for at_work in (True, False))
APP, SITE = "job/team/job/my%20app/7/", "job/site/3/"


def builds(server: HTTPServer) -> Builds:
    return Builds(server.url_for("/"), "admin", "correct horse")


def running(*paths: str) -> Response:
    """Return the answer of a controller that runs these pipelines, one of them inside of `node`."""
    flow, placed = "org.jenkinsci.plugins.workflow.job.WorkflowRun", "ExecutorStepExecution$PlaceholderTask"
    urls = [{"currentExecutable": {"_class": flow, "url": f"http://inside:8080/ci/{each}"}} for each in paths]
    node: list[dict[str, Any]] = [{"currentExecutable": {"_class": f"{placed}$PlaceholderExecutable"}}]
    body = {"computer": [{"_class": "x", "executors": [*node, {"currentExecutable": None}], "oneOffExecutors": urls}]}
    return Response(json.dumps(body), content_type="application/json")


def quiet_mode(server: HTTPServer) -> list[str]:
    """Let a Jenkins take the two calls of quiet mode with a crumb of the same session; return those that come."""
    calls: list[str] = []

    def post(request: Request) -> Response:
        assert (request.headers["Crumb"], request.cookies["JSESSIONID"]) == ("c", "s1")
        calls.append(request.path)
        return Response(status=302, headers={"Location": server.url_for("/elsewhere")})

    crumb = json.dumps({"crumb": "c", "crumbRequestField": "Crumb"})
    session = {"Set-Cookie": "JSESSIONID=s1; Path=/"}
    server.expect_request("/crumbIssuer/api/json").respond_with_data(crumb, headers=session)
    for path in ("/quietDown", "/cancelQuietDown"):
        server.expect_request(path, method="POST").respond_with_handler(post)
    return calls


@pytest.mark.parametrize("case", DUMPS, ids=lambda case: case["name"])
def test_a_build_is_at_work_as_long_as_one_of_its_branches_is_in_a_step_that_a_restart_could_end(
    httpserver: HTTPServer, case: dict[str, Any]
) -> None:
    page = "<l:copyButton text={0}><pre>{0}</pre>".format(case["dump"])
    httpserver.expect_request("/job/site/3/threadDump/").respond_with_data(page)
    assert builds(httpserver).is_at_work("job/site/3") is case["is_at_work"]


def test_the_builds_at_work_are_named_and_those_that_paused_are_not(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/computer/api/json").respond_with_handler(lambda _: running(APP, SITE, "job/free/1/"))
    httpserver.expect_request("/job/site/3/threadDump/").respond_with_data(PAUSED)
    httpserver.expect_request("/job/team/job/my app/7/threadDump/").respond_with_data(WORK)
    # The third is no pipeline: Jenkins has no thread dump of it.
    httpserver.expect_request("/job/free/1/threadDump/").respond_with_data("", 404)
    assert builds(httpserver).at_work() == ["free #1", "team/my app #7"]


def test_quiet_mode_is_asked_for_with_a_crumb_and_no_redirect_is_followed_with_the_log_in(
    httpserver: HTTPServer,
) -> None:
    calls = quiet_mode(httpserver)
    builds(httpserver).quiet(on=True)
    builds(httpserver).quiet(on=False)
    assert calls == ["/quietDown", "/cancelQuietDown"]
    assert "/elsewhere" not in {request.path for request, _ in httpserver.log}


def test_what_answers_and_is_no_jenkins_is_told_from_one_that_refuses_the_log_in(httpserver: HTTPServer) -> None:
    with pytest.raises(NoJenkinsError):
        builds(httpserver_answering(httpserver, 404)).at_work()
    httpserver.clear()
    with pytest.raises(OSError, match="401"):
        builds(httpserver_answering(httpserver, 401)).at_work()


def httpserver_answering(server: HTTPServer, status: int) -> HTTPServer:
    server.expect_request("/computer/api/json").respond_with_data("", status)
    return server


def test_builds_start_again_once_the_process_that_held_them_back_is_killed(httpserver: HTTPServer) -> None:
    calls = quiet_mode(httpserver)
    program = f"""
        import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from components.jenkins.builds import Builds
        jenkins = Builds({httpserver.url_for("/")!r}, "admin", "correct horse")
        jenkins.quiet(on=True); jenkins.guard(); print("ready", flush=True); sys.stdin.read()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert calls == ["/quietDown"]
        process.kill()
    eventually(lambda: calls == ["/quietDown", "/cancelQuietDown"], seconds=20)
