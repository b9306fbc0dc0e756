import io
import logging
import socket
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
from pydantic import SecretStr
from rich.console import Console

from ops import jenkins as client
from ops import sample
from ops.jenkins import Jenkins, LoginRefusedError, NoSuchJobError, NotYetError
from ops.toolchain.errors import Trouble
from tests.support.fake_jenkins import PASSWORD, USER, FakeJenkins, Server

WHERE = sample.Where(engine="unix:///x", client=docker.DockerClient)

Opened = Callable[..., Jenkins]


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(client, "HICCUP_SECONDS", 2)


@pytest.fixture
def fake() -> FakeJenkins:
    return FakeJenkins()


@pytest.fixture
def server(fake: FakeJenkins) -> Iterator[Server]:
    with Server(fake) as running:
        yield running


@pytest.fixture
def opened(server: Server) -> Iterator[Opened]:
    sessions: list[Jenkins] = []

    def connect(password: str = PASSWORD) -> Jenkins:
        sessions.append(Jenkins(server.url, USER, SecretStr(password)))
        return sessions[-1]

    yield connect
    for session in sessions:
        session.__exit__()


def run(url: str, monkeypatch: pytest.MonkeyPatch, **changed: Any) -> str:
    monkeypatch.setattr(sample, "_show_image", lambda where, console: console.print(f"the image on {where.engine}"))
    screen = io.StringIO()
    asked = {"url": url, "user": USER, "password": SecretStr(PASSWORD), "job": "sample", "where": WHERE}
    sample.run_sample(**{**asked, "timeout_seconds": 20, **changed}, console=Console(file=screen, width=200))
    return screen.getvalue()


def test_a_build_is_started_and_followed_to_its_end(
    fake: FakeJenkins, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = run(server.url, monkeypatch)
    assert f"Build sample #1: {server.url}/job/sample/1/console\n" in shown
    assert "  Grüße\n  This is a simple file.\n  Finished: SUCCESS\n" in shown  # also where a piece cut the ü in two
    assert shown.endswith("the image on unix:///x\n")
    assert fake.requests.count("POST /job/sample/build?delay=0sec") == 1


def test_a_starting_controller_is_waited_for(
    fake: FakeJenkins, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.starting = 3
    assert "Finished: SUCCESS" in run(server.url, monkeypatch)
    assert fake.requests[:4] == ["GET /login"] * 4


def test_a_controller_that_never_starts_is_given_up_with_what_was_seen(fake: FakeJenkins, opened: Opened) -> None:
    fake.starting = 10**6
    with pytest.raises(NotYetError, match=r"after 0 s: .*not ready \(status 503\)"):
        opened().wait_until_ready(0.3)


def test_a_port_that_nobody_listens_on_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with (
        Jenkins(url, USER, SecretStr(PASSWORD)) as session,
        pytest.raises(NotYetError, match=f"{url}.*connection refused"),
    ):
        session.wait_until_ready(0.2)


def test_a_wrong_password_is_said_at_once_and_shown_nowhere(
    fake: FakeJenkins, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    session = opened("wrong but secret")
    session.wait_until_ready(5)  # the login page is asked for without it
    with pytest.raises(LoginRefusedError, match="refuses the password of 'admin'") as refused:
        session.sign_in()
    said = "".join(traceback.format_exception(refused.value)) + caplog.text + repr(session) + repr(vars(session))
    assert "wrong but secret" not in said
    assert "d3JvbmcgYnV0IHNlY3JldA" not in said  # its base64
    assert len(fake.requests) == 2


def test_a_password_outside_of_latin_1_is_sent_as_utf_8(opened: Opened) -> None:
    session = opened()
    session.sign_in()
    assert session.start("sample") == 41
    with pytest.raises(LoginRefusedError):
        opened("пароль").sign_in()


def test_the_crumb_is_sent_with_the_session_that_it_belongs_to(fake: FakeJenkins, opened: Opened) -> None:
    first, second = opened(), opened()
    first.sign_in()
    second.sign_in()
    assert [first.start("sample"), second.start("sample")] == [41, 42]


def test_a_session_that_a_restart_ended_is_opened_again(fake: FakeJenkins, opened: Opened) -> None:
    session = opened()
    session.sign_in()
    fake.forget_sessions()
    assert session.start("sample") == 41


def test_without_crumbs_none_is_sent(fake: FakeJenkins, opened: Opened) -> None:
    fake.crumbs = False
    session = opened()
    session.sign_in()
    assert session.start("sample") == 41


def test_a_job_that_is_still_being_seeded_is_waited_for(
    fake: FakeJenkins, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.seeded_after = 1
    assert "Finished: SUCCESS" in run(server.url, monkeypatch)


def test_a_job_that_does_not_exist_is_named_with_what_to_do(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "SEED_SECONDS", 0)
    with pytest.raises(NoSuchJobError, match="no job 'other'") as missing:
        run(server.url, monkeypatch, job="other")
    assert "setup casc" in missing.value.remedy


def test_jobs_in_folders_have_jenkins_paths(fake: FakeJenkins, opened: Opened) -> None:
    fake.job = "team/job/my%20app"
    session = opened()
    session.sign_in()
    assert session.start("team/my app") == 41


def test_a_queue_entry_that_jenkins_forgot_is_found_by_its_build(fake: FakeJenkins, opened: Opened) -> None:
    session = opened()
    session.sign_in()
    item = session.start("sample")
    fake.forgets_items = True
    assert session.started("sample", item) == 1
    with pytest.raises(Trouble, match="gone from Jenkins' queue"):
        session.started("sample", 99)


def test_a_cancelled_request_is_said(fake: FakeJenkins, opened: Opened) -> None:
    fake.cancelled = True
    session = opened()
    session.sign_in()
    with pytest.raises(Trouble, match="cancelled while it waited"):
        session.started("sample", session.start("sample"))


def test_a_short_absence_while_following_is_waited_out(fake: FakeJenkins, opened: Opened) -> None:
    session = opened()
    session.sign_in()
    session.start("sample")
    fake.starting = 2
    assert session.log("sample", 1, 0).data == fake.log[: fake.piece]


@pytest.mark.parametrize("result", ["FAILURE", "ABORTED", "UNSTABLE"])
def test_a_build_that_is_not_green_fails_with_its_last_lines(
    fake: FakeJenkins, server: Server, monkeypatch: pytest.MonkeyPatch, result: str
) -> None:
    fake.result = result
    fake.log = b"".join(b"line %d\n" % n for n in range(20)) + b"permission denied\n"
    fake.piece = 50
    with pytest.raises(Trouble) as failed:
        run(server.url, monkeypatch)
    assert f"sample #1 ended with {result}" in failed.value.what
    assert failed.value.what.endswith("| line 18\n    | line 19\n    | permission denied")
    assert "line 10\n" not in failed.value.what


def test_a_build_that_goes_on_for_too_long_is_left_alone_and_said(
    fake: FakeJenkins, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.never_ends = True
    with pytest.raises(Trouble, match="still runs") as late:
        run(server.url, monkeypatch, timeout_seconds=0.5)
    assert f"{server.url}/job/sample/1/console" in late.value.remedy


def test_a_build_that_never_leaves_the_queue_is_said(
    fake: FakeJenkins, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.queued = 10**6
    with pytest.raises(Trouble, match="still waits in Jenkins' queue"):
        run(server.url, monkeypatch, timeout_seconds=0.5)


def test_a_log_can_not_drive_the_terminal(fake: FakeJenkins, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.log = b"\x1b]0;owned\x07\x1b[2J[bold red]not markup[/]\ttab\r\n"
    fake.piece = 1000
    shown = run(server.url, monkeypatch)
    assert "]0;owned[2J[bold red]not markup[/]" in shown
    assert not {"\x1b", "\x07", "\r"} & set(shown)


def test_proxies_of_the_environment_are_not_asked_for_this_machine(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    opened().wait_until_ready(5)


def test_what_is_no_jenkins_is_said_without_waiting(
    opened: Opened, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = opened()
    monkeypatch.setattr(session, "url", f"{server.url}/elsewhere")
    with pytest.raises(Trouble, match=r"not as Jenkins does: .*status 403, 'Authentication required'"):
        session.wait_until_ready(60)
