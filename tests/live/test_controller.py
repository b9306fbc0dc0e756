"""The stand-in controller on a real engine as uid 1000 with the socket's group, and `make sample` against it."""

import io
import re
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import docker
import docker.errors
import pytest
import requests
from pydantic import SecretStr
from rich.console import Console

from components.jenkins import casc, jobs
from components.password import jbcrypt
from offline import images
from ops import sample
from ops.jenkins import Jenkins
from ops.toolchain.errors import Trouble
from tests.live.conftest import HOST
from tests.support.settings import PASSWORD, settings
from tests.support.stand_in import HOME, StandIn, eventually

HASH = jbcrypt(PASSWORD, realm="ci/test/admin")
Made = Callable[..., StandIn]


def files() -> dict[str, str]:
    """What the stack uploads: the sample, and one job of the team's own."""
    stack = settings(jobs=[{"name": "other", "script": "echo 'hello'"}])
    return {
        casc.FILE: casc.render(stack, password_hash=HASH),
        jobs.FILE: jobs.render(stack),
        jobs.HOOK_FILE: jobs.HOOK,
    }


@pytest.fixture(scope="module")
def running(engine: docker.DockerClient, controller: str) -> Iterator[StandIn]:
    """Give one controller for the tests that leave it as it was."""
    made = StandIn(engine, controller, files())
    try:
        yield made.start()
    finally:
        made.remove()


@pytest.fixture
def made(engine: docker.DockerClient, controller: str) -> Iterator[Made]:
    """Give a way to make controllers of the test's own."""
    every: list[StandIn] = []

    def make(**changed: Any) -> StandIn:
        every.append(StandIn(**{"engine": engine, "image": controller, "files": files(), **changed}))
        return every[-1]

    yield make
    for one in every:
        one.remove()


def run_sample(stand_in: StandIn, *, job: str = "sample", password: str = PASSWORD) -> str:
    screen = io.StringIO()
    sample.run_sample(
        url=stand_in.url,
        user="admin",
        password=SecretStr(password),
        job=job,
        where=sample.Where(engine=HOST, client=lambda: docker.DockerClient(base_url=HOST)),
        console=Console(file=screen, width=400),
        timeout_seconds=120,
    )
    return screen.getvalue()


def signed_in(stand_in: StandIn, password: str = PASSWORD) -> Jenkins:
    session = Jenkins(stand_in.url, "admin", SecretStr(password))
    session.wait_until_ready(10)
    session.sign_in()
    return session


def test_the_controller_runs_as_uid_1000_without_a_capability(running: StandIn) -> None:
    status = running.read("/proc/1/status")
    assert re.search(r"^Uid:\s+1000\s+1000\s+1000\s+1000$", status, re.MULTILINE)
    assert re.search(r"^Cap(Eff|Bnd):\s+0{16}$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)


def test_a_login_is_required(running: StandIn) -> None:
    for path in ("/", "/api/json", "/crumbIssuer/api/json", "/job/sample/", "/job/sample/lastBuild/consoleText"):
        assert requests.get(running.url + path, timeout=10).status_code == 403
        assert requests.get(running.url + path, auth=("admin", "guess"), timeout=10).status_code == 401
    assert requests.get(f"{running.url}/api/json", auth=("admin", PASSWORD), timeout=10).status_code == 200


def test_a_crumb_is_required_even_with_the_password(running: StandIn) -> None:
    refused = requests.post(f"{running.url}/job/sample/build", auth=("admin", PASSWORD), timeout=10)
    assert refused.status_code == 403
    assert "No valid crumb was included in the request" in refused.text


def test_every_page_says_that_it_is_not_jenkins(running: StandIn) -> None:
    page = requests.get(f"{running.url}/login", timeout=10)
    assert page.headers["Content-Type"] == "text/html;charset=utf-8"
    assert "This is not Jenkins." in page.text
    assert "X-Jenkins" not in page.headers


def test_the_sample_builds_an_image_on_the_host_and_runs_it(running: StandIn, engine: docker.DockerClient) -> None:
    shown = run_sample(running)
    assert "  This is a simple file.\n" in shown
    assert f"--volumes-from {running.container.id}" in shown
    assert "The container sees the workspace of this build." in shown
    assert "[post: always]" in shown
    assert "[post: success]" in shown
    image = engine.images.get(sample.IMAGE)
    assert image.short_id.removeprefix("sha256:") in shown
    assert engine.containers.run(image, remove=True) == b"This is a simple file.\n"
    assert running.builds() == []


def test_a_job_that_is_not_the_sample_fails_and_says_why(running: StandIn) -> None:
    with pytest.raises(Trouble, match='The stand-in runs only the job "sample"'):
        run_sample(running, job="other")


def test_the_docker_cli_works_as_uid_1000(running: StandIn) -> None:
    status, listed = running.run("docker", "ps", "--format", "{{.Names}}")
    assert status == 0
    assert running.name in listed.split()


def test_no_secret_is_in_the_log_or_in_what_docker_inspect_shows(running: StandIn) -> None:
    shown = running.logs() + str(running.container.attrs)
    assert PASSWORD not in shown
    assert HASH.removeprefix("#jbcrypt:") not in shown


def test_without_the_sockets_group_the_build_fails_and_its_log_says_so(made: Made) -> None:
    stand_in = made(groups=()).start()  # the page is up all the same
    status, said = stand_in.run("docker", "ps")
    assert status != 0
    assert "permission denied" in said
    with pytest.raises(Trouble, match=r"ended with FAILURE(?s:.*)permission denied(?s:.*)\[post: failure\]"):
        run_sample(stand_in)


def test_the_history_outlives_the_container(made: Made) -> None:
    stand_in = made().start()
    run_sample(stand_in)
    stand_in.drop()
    stand_in.start()
    with signed_in(stand_in) as session:
        assert session.build("sample", 1).result == "SUCCESS"
        assert session.log("sample", 1, 0).data.endswith(b"Finished: SUCCESS\n")
    assert "Build sample #2" in run_sample(stand_in)


def hanging(made: Made) -> StandIn:
    """Give a controller whose first build hangs while its container runs; later docker commands are as usual."""
    stuck = '#!/bin/sh\nif [ "$1" = top ]; then exec sleep 600; fi\nexec /usr/local/bin/docker "$@"\n'
    stand_in = made(files={**files(), "/usr/local/sbin/docker": stuck}).start()
    with signed_in(stand_in) as session:
        session.start("sample")
    eventually(stand_in.builds)
    return stand_in


def test_a_stop_during_a_build_leaves_no_container_and_an_honest_result(made: Made) -> None:
    stand_in = hanging(made)
    began = time.monotonic()
    stand_in.container.stop(timeout=30)
    assert time.monotonic() - began < 10
    state = stand_in.container.attrs["State"]
    assert (state["ExitCode"], state["OOMKilled"]) == (0, False)
    stand_in.container.start()
    assert stand_in.builds() == []
    with signed_in(stand_in) as session:
        assert session.build("sample", 1).result == "ABORTED"
        assert b"[post: aborted]" in session.log("sample", 1, 0).data


def test_what_a_killed_controller_left_behind_is_removed_at_the_next_start(made: Made) -> None:
    stand_in = hanging(made)
    stand_in.container.kill()
    stand_in.container.start()
    with signed_in(stand_in) as session:
        assert session.build("sample", 1).result == "ABORTED"
        assert b"The controller ended while this build ran." in session.log("sample", 1, 0).data
    assert stand_in.builds() == []


def test_the_wizard_makes_a_password_that_only_its_owner_reads_and_that_logs_in(made: Made) -> None:
    stand_in = made(files={}).start()
    path = f"{HOME}/secrets/initialAdminPassword"
    password = stand_in.read(path).strip()
    assert re.fullmatch(r"[0-9a-f]{32}", password)
    assert stand_in.run("stat", "-c", "%a %u", path) == (0, "600 1000\n")
    assert password not in stand_in.logs()
    stand_in.drop()
    stand_in.start()
    assert stand_in.read(path).strip() == password
    with signed_in(stand_in, password):
        pass


def test_with_the_wizard_there_is_no_sample_and_the_message_says_so(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "SEED_SECONDS", 0)
    stand_in = made(files={}).start()
    with pytest.raises(Trouble, match="with wizard, make it by hand"):
        run_sample(stand_in, password=stand_in.read(f"{HOME}/secrets/initialAdminPassword").strip())


def test_a_clear_password_keeps_the_controller_down_and_is_not_shown(made: Made) -> None:
    clear = secrets.token_hex(8)
    broken = {casc.FILE: files()[casc.FILE].replace(HASH, clear)}
    stand_in = made(files=broken)
    stand_in.launch()
    eventually(lambda: "stops:" in stand_in.logs())
    assert stand_in.container.attrs["State"].get("Health", {}).get("Status") != "healthy"
    assert 'the password of user "admin" is not \'#jbcrypt:' in stand_in.logs()
    assert clear not in stand_in.logs()


def test_the_images_are_not_made_again_and_say_what_they_are(engine: docker.DockerClient, controller: str) -> None:
    images.ensure(HOST)  # another clone, of another version, may have put its own there since the fixture
    before = [engine.images.get(name).id for name in (controller, images.BASE)]
    images.ensure(HOST)
    assert [engine.images.get(name).id for name in (controller, images.BASE)] == before
    assert "Jenkins" in engine.images.get(controller).labels[images.STAND_IN]
