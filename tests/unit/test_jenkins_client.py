"""`make sample` against what a real Jenkins 2.568.2 answered: recordings of one request and its response each."""

import base64
import io
import json
import logging
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import SecretStr
from pytest_httpserver import HTTPServer
from rich.console import Console
from werkzeug import Request, Response

from components.jenkins.hooks import REFUSED, scripts
from ops import jenkins as jenkins_client
from ops import sample
from ops.jenkins import AwayError, Jenkins
from ops.stack import Stack
from setup.console import OpsError
from tests.support import made_stack
from tests.support.settings import settings
from tests.support.verbs import free_port

USER, PASSWORD = "admin", "пароль-correct-horse"
RECORDINGS = Path(__file__).with_name("jenkins_recordings")
BEGIN = ("crumb", "build", "queue-waiting", "queue-left")
LOG = ("log-1", "log-2", "log-3", "log-4", "log-5")
SESSION = "JSESSIONID.00000000=node0placeholder.node0"


def recorded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RECORDINGS / f"{name}.json").read_text())
    return found


def play(server: HTTPServer, *names: str, path: str = "", **changed: Any) -> None:
    """Answer with these recordings in this order, as recorded but for another path and what changed of a JSON body."""
    for name in names:
        request, response = recorded(name).values()
        url = urlsplit(path or request["path"])
        headers = {"Authorization": "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
        if request["method"] == "POST":  # Jenkins ties a crumb to the session that got it
            headers |= request["headers"]
        body = response["body"]
        if changed:
            body = json.dumps({**json.loads(body), **changed})
        kept = {key: value for key, value in response["headers"].items() if key not in ("Content-Length", "Server")}
        if name == "crumb":
            kept["Set-Cookie"] = f"{SESSION}; Path=/"
        query = dict(parse_qsl(url.query)) or None
        server.expect_ordered_request(
            url.path, method=request["method"], query_string=query, headers=headers
        ).respond_with_data(body, response["status"], kept)


def away(server: HTTPServer, times: int) -> None:
    """Answer anything as Jenkins does while it starts. A client asks for its crumb again, and its question."""
    seen = recorded("login-starting")["response"]
    for _ in range(times):
        server.expect_ordered_request(re.compile(".*")).respond_with_data(seen["body"], seen["status"])


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "POLL_SECONDS", 0.001)


@pytest.fixture
def server(httpserver: HTTPServer) -> Iterator[HTTPServer]:
    """A server that has answered all that was planned, and was asked nothing else."""
    yield httpserver
    httpserver.check_assertions()
    assert not httpserver.ordered_handlers


@pytest.fixture
def jenkins(server: HTTPServer) -> Jenkins:
    return user_of(server.url_for("/"))


def user_of(url: str, *, away_seconds: float = 3, password: str = PASSWORD) -> Jenkins:
    return Jenkins(url, USER, SecretStr(password), away_seconds=away_seconds)


@pytest.fixture
def stack(httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """Give a stack that has this Jenkins."""
    made = made_stack.on_docker(tmp_path)
    found = {"setup": "casc", "container": "ci", "adminUser": USER, "adminPassword": PASSWORD}
    monkeypatch.setattr(made, "outputs", lambda _: {**found, "url": httpserver.url_for("")})
    return made


def run(jenkins: Jenkins, seconds: float = 20) -> str:
    screen = io.StringIO()
    sample.run_job(jenkins, "sample", Console(file=screen, width=200), seconds=seconds)
    return screen.getvalue()


def test_a_build_is_started_and_its_whole_log_shown_without_console_notes(server: HTTPServer, jenkins: Jenkins) -> None:
    play(server, *BEGIN, *LOG, "build-running-tree", "build-done-tree")
    shown = run(jenkins)
    lines = recorded("log-console-text")["response"]["body"].replace("\r", "").splitlines()
    assert shown.splitlines() == [
        f"Build sample #1: {jenkins.url}/job/sample/1/console",
        *(f"  {line}" for line in lines),
    ]


def test_a_log_whose_last_piece_is_empty_ends(server: HTTPServer, jenkins: Jenkins) -> None:
    play(server, "log-4")
    play(server, "log-after-end", path="/job/sample/1/logText/progressiveText?start=10942")
    server.ordered_handlers[0].matcher.query_matcher = server.create_matcher(
        "", query_string={"start": "0"}
    ).query_matcher
    screen = io.StringIO()
    sample.show(jenkins.log("job/sample/1"), Console(file=screen))
    assert "ha:" not in screen.getvalue()


def test_a_jenkins_that_starts_is_waited_for(server: HTTPServer, jenkins: Jenkins) -> None:
    away(server, 4)
    play(server, "crumb", "build")
    assert jenkins.start("sample") == 3


def test_a_right_password_that_a_starting_jenkins_refuses_is_tried_again(server: HTTPServer, jenkins: Jenkins) -> None:
    refused = recorded("crumb-wrong-password")["response"]
    server.expect_ordered_request("/crumbIssuer/api/json").respond_with_data(refused["body"], refused["status"])
    starting = recorded("login-starting")["response"]
    server.expect_ordered_request("/login").respond_with_data(starting["body"], starting["status"])
    play(server, "crumb", "build")
    assert jenkins.start("sample") == 3


def test_a_restart_in_the_middle_of_a_build_is_waited_for(server: HTTPServer, jenkins: Jenkins) -> None:
    play(server, *BEGIN, *LOG[:2])
    away(server, 3)
    play(server, *LOG[2:], "build-done-tree")
    assert "  Finished: SUCCESS\n" in run(jenkins)


def test_a_jenkins_that_stays_away_is_given_up_with_what_was_seen(server: HTTPServer) -> None:
    away(server, 2)
    with pytest.raises(AwayError, match=r"after 0 s .*status 503"):
        user_of(server.url_for("/"), away_seconds=0).start("sample")


def test_a_port_that_nobody_listens_on_is_named() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(AwayError, match=f"{url}.*refused"):
        user_of(url, away_seconds=0.2).start("sample")


def test_a_wrong_password_is_said_at_once_and_shown_nowhere(
    httpserver: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    refusal = recorded("crumb-wrong-password")["response"]
    httpserver.expect_request("/crumbIssuer/api/json").respond_with_data(refusal["body"], refusal["status"])
    httpserver.expect_request("/login").respond_with_data("")
    session = user_of(httpserver.url_for(""), password="wrong but secret")
    with pytest.raises(OpsError, match="refuses the password of 'admin'") as refused:
        session.start("sample")
    said = "".join(traceback.format_exception(refused.value)) + caplog.text + repr(session) + repr(vars(session))
    assert "wrong but secret" not in said
    assert base64.b64encode(b"wrong but secret").decode()[:20] not in said
    assert [request.path for request, _ in httpserver.log] == ["/crumbIssuer/api/json", "/login"]
    assert "Authorization" not in httpserver.log[-1][0].headers


def test_a_user_who_may_not_build_is_told_so(server: HTTPServer, jenkins: Jenkins) -> None:
    play(server, "crumb", "build-without-crumb")
    with pytest.raises(OpsError, match="does not let 'admin'"):
        jenkins.start("sample")


def test_a_job_that_does_not_exist_is_named_with_what_to_do(server: HTTPServer, jenkins: Jenkins) -> None:
    play(server, "crumb", "job-missing-build")
    with pytest.raises(OpsError, match="has no job/missing") as missing:
        jenkins.start("missing")
    assert "setup casc" in missing.value.remedy


@pytest.mark.parametrize(
    ("wanted", "refused", "bad"),
    [
        (["sample", "hello"], [], []),
        (["sample", "lost", "gone"], [], ["Jenkins has no lost, gone"]),
        # One that Jenkins had before is there still, as it was.
        (["sample", "hello"], ['job hello: Invalid input: "x"'], ['Refused: job hello: Invalid input: "x"']),
        (["sample", "new"], ["job new: no"], ["Refused: job new: no"]),
        (["sample", "new", "lost"], ["job new: no"], ["Refused: job new: no", "Jenkins has no lost"]),
    ],
)
def test_a_job_that_jenkins_refused_or_lost_is_seen(
    server: HTTPServer, stack: Stack, wanted: list[str], refused: list[str], bad: list[str]
) -> None:
    message = "\n".join(["Pulumi keeps this Jenkins.", *(f"{REFUSED}{line}" for line in refused)])
    play(server, "jobs", path="/api/json?tree=description,jobs[name]", description=message)
    found = list(jenkins_client.examine(stack, {"jobs": wanted, "container": "ci"}))
    assert [each.seen for each in found if each.mark == "BAD"] == bad
    assert found


def test_each_script_writes_what_is_refused_to_where_it_is_looked_for() -> None:
    groovy = [text for path, text in scripts(settings()).items() if path.endswith(".groovy.override")]
    assert len(groovy) == 3
    assert all(f"}}\\n{REFUSED}" in text for text in groovy)


@pytest.mark.parametrize(("local", "status"), [(True, 503), (False, 503), (False, 401)])
def test_jobs_that_cannot_be_asked_for_are_bad_unless_jenkins_is_on_another_host(
    httpserver: HTTPServer,
    monkeypatch: pytest.MonkeyPatch,
    stack: Stack,
    local: bool,  # noqa: FBT001 - a case of a table
    status: int,
) -> None:
    monkeypatch.setattr(type(stack.settings.docker), "is_local", local)
    monkeypatch.setattr(jenkins_client, "AWAY_SECONDS", 0)
    httpserver.expect_request("/api/json").respond_with_data("", status)
    [only] = jenkins_client.examine(stack, {"jobs": ["sample"], "container": "ci"})
    assert only.mark == ("BAD" if local else "note")


def test_a_queue_item_that_a_restart_made_jenkins_forget_is_named(server: HTTPServer, jenkins: Jenkins) -> None:
    play(server, "queue-missing", path="/queue/item/3/api/json")
    with pytest.raises(OpsError, match="has no queue/item/3"):
        jenkins.started("sample", 3)


def test_a_cancelled_request_is_said(server: HTTPServer, jenkins: Jenkins) -> None:
    play(server, "queue-left", cancelled=True, executable=None)
    with pytest.raises(OpsError, match="cancelled while it waited"):
        jenkins.started("sample", 3)


def test_a_build_that_waits_is_told_with_jenkins_own_reason(server: HTTPServer, jenkins: Jenkins) -> None:
    play(server, "crumb", "build-while-running", "queue-blocked")
    with pytest.raises(OpsError, match="Build #1 is already in progress"):
        run(jenkins, seconds=0)


def test_a_build_that_goes_on_for_too_long_is_left_alone_and_said(server: HTTPServer, jenkins: Jenkins) -> None:
    play(server, "crumb", "build", "queue-left", "log-1")
    with pytest.raises(OpsError, match="still runs") as late:
        run(jenkins, seconds=0)
    assert f"{jenkins.url}/job/sample/1/console" in late.value.remedy


def test_a_build_that_is_not_green_fails_with_its_last_lines(server: HTTPServer, jenkins: Jenkins) -> None:
    play(server, *BEGIN, *LOG)
    play(server, "build-done-tree", result="UNSTABLE")
    with pytest.raises(OpsError, match="sample #1 ended with UNSTABLE") as failed:
        run(jenkins)
    assert failed.value.what.endswith("\n    | [Pipeline] End of Pipeline\n    | Finished: SUCCESS")
    assert "Started by user" not in failed.value.what


def test_a_log_can_not_drive_the_terminal_and_a_cut_character_is_whole_again() -> None:
    screen = io.StringIO()
    pieces = (b"\x1b]0;owned\x07\x1b[2J[bold red]Gr\xc3", b"\xbc\xc3\x9fe[/]\r\n", b"\xffno end")
    sample.show(pieces, Console(file=screen, width=200))
    assert screen.getvalue() == "  ]0;owned[2J[bold red]Grüße[/]\n  \ufffdno end\n"


def test_what_is_no_jenkins_is_said_without_waiting(httpserver: HTTPServer) -> None:
    def stranger(_: Request) -> Response:
        return Response("<title>Router</title>", content_type="text/html")

    httpserver.expect_request("/crumbIssuer/api/json").respond_with_json({"crumbRequestField": "a", "crumb": "b"})
    httpserver.expect_request("/job/sample/build").respond_with_handler(stranger)
    with pytest.raises(OpsError, match="status 200"):
        user_of(httpserver.url_for("")).start("sample")
