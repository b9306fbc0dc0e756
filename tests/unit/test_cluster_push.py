"""The script that watches branches, run with this machine's shell, git and wget on an API server that keeps Jobs."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from components import labels
from components.kubernetes import push
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
def watching(tmp_path: Path, repository: Path, api: FakeApi) -> Iterator[Path]:
    """Run the script until it is killed at the end of the block; give the file of what it says."""
    folder, log = tmp_path / "watch" / "website", tmp_path / "log"
    folder.mkdir(parents=True, exist_ok=True)
    variables = f"BRANCH='release/*' REPOSITORY=file://{repository} GIT_USER=x TOKEN= SECONDS_BETWEEN=1"
    (folder / "settings").write_text(variables)
    spec = {"backoffLimit": 0, "template": {"spec": {"containers": []}}}
    (folder / "job").write_text(push.job(spec, {}, "website.push", "uid"))
    script = re.sub(r"(?<![\w.])/(watch|tmp|trust)\b", rf"{tmp_path}/\1", push.SCRIPT.read_text())
    names = {"NAMESPACE": "ci-builds", "BUILD_LABEL": labels.BUILD, "BRANCH_LABEL": labels.BRANCH}
    environment = {"PATH": os.environ["PATH"], "PROXY_PORT": api.url.rpartition(":")[2], **names}
    with log.open("a") as said:
        words = ["/bin/sh", "-c", script]
        process = subprocess.Popen(words, env=environment, stdout=said, stderr=said, start_new_session=True)
        try:
            yield log
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    shutil.rmtree(tmp_path / "tmp")


def built(api: FakeApi) -> list[str]:
    return [job["spec"]["template"]["metadata"]["annotations"][labels.COMMIT] for job in api.sent]


def end(api: FakeApi, how: str = "Complete") -> None:
    """Let all Jobs end."""
    for job in api.sent:
        job["status"] = {"conditions": [{"type": how, "status": "True"}]}


def test_each_head_is_built_once_also_by_a_watcher_that_was_killed_and_on_a_branch_that_was_made_again(
    tmp_path: Path, repository: Path, api: FakeApi
) -> None:
    heads = [git(repository, "rev-parse", "HEAD")]
    with watching(tmp_path, repository, api):
        until(lambda: built(api) == heads, 20)
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
    assert log.read_text().count("started Job") == len(heads) == 4
    [tag] = {job["spec"]["template"]["metadata"]["annotations"][labels.BRANCH_TAG] for job in api.sent}
    assert tag == "release-1"
    for job, head in zip(api.sent, heads, strict=True):
        assert re.fullmatch(f"website-{head[:12]}-[0-9a-f]{{12}}", job["metadata"]["name"])


def test_a_branch_waits_for_its_build_and_a_host_that_is_away_is_asked_less_often(
    tmp_path: Path, repository: Path, api: FakeApi
) -> None:
    with watching(tmp_path, repository, api) as log:
        until(lambda: bool(built(api)), 20)
        head = commit(repository)
        until(lambda: f"commit {head[:12]} of release-1 waits" in log.read_text(), 20)
        assert head not in built(api)
        end(api)
        until(lambda: built(api)[1:] == [head], 20)
        repository.rename(tmp_path / "away")
        until(lambda: "again in 1 s" in log.read_text() and "again in 2 s: fatal:" in log.read_text(), 20)
        (tmp_path / "away").rename(repository)
        until(lambda: "works again" in log.read_text(), 20)
    assert len(api.sent) == 2
