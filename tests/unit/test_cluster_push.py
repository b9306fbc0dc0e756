"""The script that watches branches, run with this machine's shell, git and wget on an API server that keeps Jobs."""

import contextlib
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request

from components import labels
from components.kubernetes import plan, push
from tests.support import servers
from tests.support.cluster import until
from tests.support.fake_api import FakeApi
from tests.support.git import git

PROGRAMS = ("git", "ssh", "wget")
pytestmark = pytest.mark.skipif(not all(map(shutil.which, PROGRAMS)), reason=f"not all of {PROGRAMS} are here")

JOBS = "/apis/batch/v1/namespaces/ci-builds/jobs"


@pytest.fixture
def api(httpserver: HTTPServer, tmp_path: Path) -> FakeApi:
    made = FakeApi(httpserver, tmp_path)

    def listed(request: Request) -> dict[str, Any]:
        wanted = dict(part.split("=") for part in request.args.get("labelSelector", "").split(",") if "=" in part)
        return {
            "metadata": {},
            "items": [job for job in made.sent if wanted.items() <= job["metadata"]["labels"].items()],
        }

    made.answers = {f"GET {JOBS}": listed, f"POST {JOBS}": {}}
    return made


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Give a repository with the branches main and release/1."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder)
    git(folder, "checkout", "--quiet", "-b", "release/1")
    return folder


def commit(folder: Path) -> str:
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "one more")
    return git(folder, "rev-parse", "HEAD")


@contextlib.contextmanager
def watching(
    tmp_path: Path, repository: Path | str, api: FakeApi, seconds: int = 1, **settings: object
) -> Iterator[Path]:
    """Run the script until it is killed at the end of the block; give the file of what it says.

    It watches every branch but main. The receiver's last call is the API server's answer to `GET /`.
    repository: a folder, or an address.
    seconds: its pause.
    settings: others of its variables. Without AT_MOST, as many Jobs run at one time as there are branches.
    """
    folder, log = tmp_path / "watch" / "website", tmp_path / "log"
    folder.mkdir(parents=True, exist_ok=True)
    (tmp_path / "tmp").mkdir(exist_ok=True)
    url = f"file://{repository}" if isinstance(repository, Path) else repository
    variables = f"BRANCH='[!m]*' REPOSITORY={url} GIT_USER=x DECIDES=x SECONDS_BETWEEN={seconds} "
    variables += " ".join(f"{name}={value}" for name, value in ({"TOKEN": "", "AT_MOST": ""} | settings).items())
    (folder / "settings").write_text(variables)
    spec = {"backoffLimit": 0, "template": {"spec": {"containers": []}}}
    (folder / "job").write_text(plan.push_job(spec, {labels.BUILD: "website"}, {}, "website.push", "uid"))
    script = moved(push.SCRIPT.read_text(), tmp_path)
    # As impatient as a test.
    script = script.replace("timeout 60", "timeout 3").replace("ConnectTimeout=30", "ConnectTimeout=1")
    script = script.replace("tries % 15", "tries % 3").replace("soon=60", "soon=2")
    names = {"NAMESPACE": "ci-builds", "BUILD_LABEL": labels.BUILD, "BRANCH_LABEL": labels.BRANCH}
    port = api.url.rpartition(":")[2]
    environment = {"PATH": os.environ["PATH"], "PROXY_PORT": port, "CALLS_PORT": port, **names}
    with log.open("a") as said:
        words = ["/bin/sh", "-c", script]
        process = subprocess.Popen(words, env=environment, stdout=said, stderr=said, start_new_session=True)
        try:
            yield log
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    shutil.rmtree(tmp_path / "tmp", ignore_errors=True)


def moved(script: str, folder: Path) -> str:
    """Give a script with another folder in the place of the container's root."""
    return re.sub(r"(?<![\w.])/(watch|tmp|trust|secrets)\b", rf"{folder}/\1", script)


def tag(branch: str) -> str:
    """Give the tag of a branch whose name has a '/', or is the tag of a commit."""
    changed = branch.replace("/", "-") if "/" in branch else f"_{branch}"
    return f"{changed}..{hashlib.sha256(branch.encode()).hexdigest()[:12]}"


def built(api: FakeApi) -> list[str]:
    return [job["spec"]["template"]["metadata"]["annotations"][labels.COMMIT] for job in api.sent]


def said(log: Path) -> int:
    """Count the Jobs that the watcher says it has started."""
    return log.read_text().count("started Job")


def end(api: FakeApi, how: str = "Complete") -> None:
    """Let all Jobs end."""
    for job in api.sent:
        job["status"] = {"conditions": [{"type": how, "status": "True"}]}


def test_each_head_is_built_once_also_by_a_watcher_that_was_killed_and_on_a_branch_that_was_made_again(
    tmp_path: Path, repository: Path, api: FakeApi
) -> None:
    heads = [git(repository, "rev-parse", "HEAD")]
    with watching(tmp_path, repository, api) as log:
        until(lambda: built(api) == heads and said(log) == 1, 20)
    commit(repository)
    heads.append(commit(repository))
    end(api, "Failed")
    with watching(tmp_path, repository, api) as log:
        until(lambda: built(api) == heads, 20)
        end(api)
        git(repository, "reset", "--hard", heads[0])
        heads.append(commit(repository))
        until(lambda: built(api) == heads, 20)
        end(api)
        git(repository, "checkout", "--detach")
        git(repository, "branch", "--delete", "--force", "release/1")
        heads.append(commit(repository))
        git(repository, "branch", "release/1")
        until(lambda: built(api) == heads, 20)
        signature = f"sha256-{'ab' * 32}.sig"  # where cosign looks for the signature of an image
        for branch in ("release/a/b", "release/a-b", heads[0][:12], signature):
            end(api)
            git(repository, "checkout", "--quiet", "-b", branch)
            heads.append(commit(repository))
            until(lambda: built(api) == heads, 20)
        until(lambda: said(log) == len(heads), 20)  # it says so after the answer
    tags = [job["spec"]["template"]["metadata"]["annotations"][labels.BRANCH_TAG] for job in api.sent]
    assert tags == [*[tag("release/1")] * 4, tag("release/a/b"), tag("release/a-b"), tag(heads[0][:12]), tag(signature)]
    assert len(set(tags)) == 5
    for job, head in zip(api.sent, heads, strict=True):
        assert re.fullmatch(f"website-{head[:12]}-[0-9a-f]{{12}}", job["metadata"]["name"])


def test_a_branch_waits_for_its_build_and_a_host_that_is_away_is_asked_less_often(
    tmp_path: Path, repository: Path, api: FakeApi
) -> None:
    with watching(tmp_path, repository, api) as log:
        until(lambda: bool(built(api)), 20)
        head = commit(repository)
        until(lambda: f"commit {head[:12]} of {tag('release/1')} waits for" in log.read_text(), 20)
        assert head not in built(api)
        asked = api.asked.count(f"GET {JOBS}")
        until(lambda: api.asked.count(f"GET {JOBS}") > asked + 1, 20)
        assert log.read_text().count(" waits for ") == 1  # a branch may wait for hours
        end(api)
        until(lambda: built(api)[1:] == [head], 20)
        repository.rename(tmp_path / "away")
        until(lambda: "again in 1 s" in log.read_text() and "again in 2 s: fatal:" in log.read_text(), 20)
        (tmp_path / "away").rename(repository)
        until(lambda: "works again" in log.read_text(), 20)
    assert len(api.sent) == 2


@pytest.mark.parametrize(("most", "at_once"), [("", 3), (2, 2), (1, 1)])
def test_of_a_patterns_branches_as_many_are_built_at_one_time_as_have_room(
    tmp_path: Path, repository: Path, api: FakeApi, most: int | str, at_once: int
) -> None:
    heads = [git(repository, "rev-parse", "HEAD")]
    for number in (2, 3):
        git(repository, "checkout", "--quiet", "-b", f"release/{number}")
        heads.append(commit(repository))
    with watching(tmp_path, repository, api, AT_MOST=most) as log:
        until(lambda: len(built(api)) == at_once and log.read_text().count(" waits for ") == 3 - at_once, 20)
        while len(built(api)) < len(heads):
            end(api)
            until(lambda: said(log) == len(built(api)), 20)
    assert sorted(built(api)) == sorted(heads)


# The first one asks whether the API server is there.
@pytest.mark.parametrize(("request_", "times"), [(f"GET {JOBS}", 2), (f"POST {JOBS}", 1)])
def test_a_watcher_that_is_killed_before_or_while_it_starts_a_job_leaves_no_head_out_and_builds_none_twice(
    tmp_path: Path, repository: Path, api: FakeApi, request_: str, times: int
) -> None:
    heads = []
    for _ in range(10):
        heads.append(commit(repository))
        api.asked.clear()
        with watching(tmp_path, repository, api):
            end_by = time.monotonic() + 20
            while api.asked.count(request_) < times:  # at once, and not at the next look of `until`
                assert time.monotonic() < end_by
        with watching(tmp_path, repository, api):
            until(lambda: built(api) == heads, 20)
        end(api)


def test_the_token_is_for_the_repositorys_own_host_and_not_for_one_to_which_that_leads(
    tmp_path: Path, repository: Path, api: FakeApi
) -> None:
    token = tmp_path / "secrets/git/token"
    token.parent.mkdir(parents=True)
    token.write_text("glpat-0123456789")
    with servers.git(repository.parent, "127.0.0.1", login=("x", token.read_text())) as host:
        with servers.sending_to(host) as other, watching(tmp_path, f"{other}/repository/.git", api, TOKEN="yes") as log:
            until(lambda: "could not read Username" in log.read_text(), 20)
        with watching(tmp_path, f"{host}/repository/.git", api, TOKEN="yes"):
            until(lambda: len(api.sent) == 1, 20)


@pytest.mark.parametrize(("scheme", "reason"), [("https", "the git host gave no answer"), ("ssh", "Connection timed")])
def test_a_watcher_without_the_api_server_or_with_a_silent_git_host_says_so(
    tmp_path: Path, api: FakeApi, scheme: str, reason: str
) -> None:
    jobs = api.answers.pop(f"GET {JOBS}")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"{scheme}://x@127.0.0.1:{silent.getsockname()[1]}/x.git"
        with watching(tmp_path, address, api, seconds=86_400) as log:
            until(lambda: "build website: can't look or start: the API server refuses" in log.read_text(), 20)
            api.answers[f"GET {JOBS}"] = jobs
            until(lambda: f"can't look or start; again in 2 s: {reason}" in log.read_text(), 20)


def test_a_call_ends_the_pause_and_a_loop_that_does_not_come_by_in_time_is_noticed(
    tmp_path: Path, repository: Path, api: FakeApi
) -> None:
    def hung() -> bool:
        return subprocess.run(["/bin/sh", "-c", moved(push.HUNG.read_text(), tmp_path)], check=False).returncode == 1

    due = tmp_path / "tmp" / "website" / "due"
    with watching(tmp_path, repository, api, seconds=900) as log:
        until(lambda: bool(built(api)) and int(due.read_text() or 0) > time.time() + 900, 20)
        assert not hung()
        due.write_text("1\n")
        assert hung()
        called, heads = time.monotonic(), []
        for call in ("a call", "one more"):
            end(api)
            heads.append(commit(repository))
            api.answers["GET "] = call
            until(lambda: built(api)[1:] == heads, 20)
            assert not hung()
        assert time.monotonic() - called > 5  # so often and no oftener, whoever repeats a call
        heads.append(commit(repository))
        api.answers["GET "] = "the last one"
        until(lambda: f"{heads[-1][:12]} of {tag('release/1')} waits" in log.read_text(), 20)
        end(api)
        until(lambda: built(api)[1:] == heads, 20)  # without another call
    assert not hung()
