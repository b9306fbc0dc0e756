"""The servers that a test's contexts come from."""

import socket
import subprocess
from pathlib import Path

import pytest
import requests

from lab import pki, servers
from lab.servers import Login

HERE = "127.0.0.1"


def git(*words: str | Path, cwd: Path) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *words], cwd=cwd, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


@pytest.fixture
def repositories(tmp_path: Path) -> Path:
    work = tmp_path / "repositories" / "app"
    work.mkdir(parents=True)
    git("init", "--quiet", cwd=work)
    (work / "Dockerfile").write_text("FROM scratch\n")
    git("add", ".", cwd=work)
    git("commit", "--quiet", "-m", "one", cwd=work)
    return work.parent


def test_git_clones_from_the_git_server(repositories: Path, tmp_path: Path) -> None:
    with servers.git(repositories, HERE) as served:
        git("clone", "--quiet", f"{served.url}/app", "clone", cwd=tmp_path)
    assert (tmp_path / "clone" / "Dockerfile").read_text() == "FROM scratch\n"
    assert any("git-upload-pack" in request for request in served.requests)


def test_git_refuses_a_wrong_password_and_takes_the_right_one(repositories: Path, tmp_path: Path) -> None:
    with servers.git(repositories, HERE, login=Login("ci", "right")) as served:
        answers = [
            requests.get(f"{served.url}/app/info/refs?service=git-upload-pack", auth=auth, timeout=10).status_code
            for auth in (None, ("ci", "wrong"), ("ci", "right"))
        ]
    assert answers == [401, 401, 200]


def test_nobody_pushes_to_the_git_server(repositories: Path) -> None:
    with servers.git(repositories, HERE) as served:
        answer = requests.get(f"{served.url}/app/info/refs?service=git-receive-pack", timeout=10)
    assert answer.status_code == 403


def test_files_come_by_tls_with_a_certificate_of_the_authority(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "context.tar.gz").write_bytes(b"packed")
    certificate = pki.Authority.new(tmp_path).server("files", [HERE])
    with servers.files(tmp_path / "files", HERE, certificate=certificate) as served:
        assert served.url.startswith("https://")
        answer = requests.get(f"{served.url}/context.tar.gz", verify=str(tmp_path / "ca.crt"), timeout=10)
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(f"{served.url}/context.tar.gz", timeout=10)
    assert answer.content == b"packed"


def test_a_client_that_says_nothing_keeps_no_other_waiting(tmp_path: Path) -> None:
    certificate = pki.Authority.new(tmp_path).server("files", [HERE])
    with servers.files(tmp_path, HERE, certificate=certificate) as served:
        port = int(served.url.rpartition(":")[2])
        with socket.create_connection((HERE, port), timeout=10):
            answer = requests.get(f"{served.url}/ca.crt", verify=str(tmp_path / "ca.crt"), timeout=10)
    assert answer.ok
