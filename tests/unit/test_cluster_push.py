"""The script that watches branches, run with this machine's shell, git and wget on an API server that keeps Jobs."""

import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from components import labels
from components.kubernetes import plan, push
from tests.support.cluster import until
from tests.support.fake_api import FakeApi
from tests.support.git import git

pytestmark = pytest.mark.skipif(not all(map(shutil.which, ("git", "wget"))), reason="no git or no wget here")

JOBS = "/apis/batch/v1/namespaces/ci-builds/jobs"


@pytest.fixture
def api(httpserver: HTTPServer, tmp_path: Path) -> FakeApi:
    made = FakeApi(httpserver, tmp_path)
    made.answers = {f"GET {JOBS}": {"metadata": {}, "items": made.sent}, f"POST {JOBS}": {}}
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
def watching(tmp_path: Path, repository: Path, api: FakeApi, seconds: int = 1) -> Iterator[Path]:
    """Run the script until it is killed at the end of the block; give the file of what it says.

    seconds: its pause. The receiver's last call is the API server's answer to `GET /`.
    """
    folder, log = tmp_path / "watch" / "website", tmp_path / "log"
    folder.mkdir(parents=True, exist_ok=True)
    variables = f"BRANCH='release/*' REPOSITORY=file://{repository} GIT_USER=x TOKEN= SECONDS_BETWEEN={seconds}"
    (folder / "settings").write_text(variables)
    spec = {"backoffLimit": 0, "template": {"spec": {"containers": []}}}
    (folder / "job").write_text(plan.push_job(spec, {}, {}, "website.push", "uid"))
    script = moved(push.SCRIPT.read_text(), tmp_path)
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
    return re.sub(r"(?<![\w.])/(watch|tmp|trust)\b", rf"{folder}/\1", script)


def tag(branch: str) -> str:
    """Give the tag of a branch whose name has a '/'."""
    return f"{branch.replace('/', '-')}..{hashlib.sha256(branch.encode()).hexdigest()[:12]}"


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
        for branch in ("release/a/b", "release/a-b"):
            end(api)
            git(repository, "checkout", "--quiet", "-b", branch)
            heads.append(commit(repository))
            until(lambda: built(api) == heads, 20)
        until(lambda: said(log) == len(heads), 20)  # it says so after the answer
    tags = [job["spec"]["template"]["metadata"]["annotations"][labels.BRANCH_TAG] for job in api.sent]
    assert tags == [*[tag("release/1")] * 4, tag("release/a/b"), tag("release/a-b")]
    assert len(set(tags)) == 3
    for job, head in zip(api.sent, heads, strict=True):
        assert re.fullmatch(f"website-{head[:12]}-[0-9a-f]{{12}}", job["metadata"]["name"])


def test_a_branch_waits_for_its_build_and_a_host_that_is_away_is_asked_less_often(
    tmp_path: Path, repository: Path, api: FakeApi
) -> None:
    with watching(tmp_path, repository, api) as log:
        until(lambda: bool(built(api)), 20)
        head = commit(repository)
        until(lambda: f"commit {head[:12]} of {tag('release/1')} waits" in log.read_text(), 20)
        assert head not in built(api)
        end(api)
        until(lambda: built(api)[1:] == [head], 20)
        repository.rename(tmp_path / "away")
        until(lambda: "again in 1 s" in log.read_text() and "again in 2 s: fatal:" in log.read_text(), 20)
        (tmp_path / "away").rename(repository)
        until(lambda: "works again" in log.read_text(), 20)
    assert len(api.sent) == 2


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
            while api.asked.count(request_) < times:  # at once, and not at the next look of `until`
                pass
        with watching(tmp_path, repository, api):
            until(lambda: built(api) == heads, 20)
        end(api)


def test_a_call_ends_the_pause_and_a_loop_that_does_not_come_by_in_time_is_noticed(
    tmp_path: Path, repository: Path, api: FakeApi
) -> None:
    def hung() -> bool:
        return subprocess.run(["/bin/sh", "-c", moved(push.HUNG.read_text(), tmp_path)], check=False).returncode == 1

    due = tmp_path / "tmp" / "website" / "due"
    with watching(tmp_path, repository, api, seconds=900):
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
    assert not hung()
