"""The script that clones a git context, run with the shell and the git of this machine."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.kubernetes.plan import plan
from tests.support import servers
from tests.support.git import QUIET, git
from tests.support.kubernetes_stack import build, settings
from tests.support.programs import script

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git on this machine")

TOKEN = "glpat-0123456789"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Give a bare repository: v1 is tagged, `main` moved on, `old/branch` stayed; no server setting is special."""
    source = tmp_path / "source"
    source.mkdir()
    git(source, "init", "--quiet", "--initial-branch=main")
    for version in ("1", "2", "3"):
        (source / "Dockerfile").write_text(version)
        (source / "images").mkdir(exist_ok=True)
        (source / "images" / "Dockerfile").write_text(f"images {version}")
        git(source, "add", ".")
        git(source, "commit", "--quiet", "--message", version)
        if version == "1":
            git(source, "tag", "--annotate", "--message", "v1", "v1")
            git(source, "branch", "old/branch")
    bare = tmp_path / "website.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(source), str(bare))
    return bare


def fetch(
    tmp_path: Path, address: str, *, token: str | None = None, before: str = "", **keys: Any
) -> tuple[int, str, Path]:
    """Run the script as the pod would; give its exit code, what it said, and the context.

    before: a folder to look for programs in, before those of the machine.
    """
    wanted = {"repository": "https://git.example.org/x.git", **keys}
    if token is not None:
        wanted["credentials"] = "gitToken"
    pod = plan(settings(builds=[build(context={"git": wanted})], gitToken=TOKEN), 0).pod
    [container] = pod["initContainers"]
    root = tmp_path / "pod"
    for folder in ("context", "tmp", "secrets/git"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    if token is not None:
        (root / "secrets/git/token").write_text(token)
    shell, flags, cloning = container["command"]
    cloning = re.sub(r"(?<![\w.])/(context|tmp|secrets|trust)\b", rf"{root}/\1", cloning)
    variables = {entry["name"]: entry["value"] for entry in container["env"]}
    ended = subprocess.run(
        [shell, flags, cloning],
        env={"PATH": f"{before}:{os.environ['PATH']}", **QUIET, **variables, "REPOSITORY": address},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    [argument] = [word for word in pod["containers"][0]["args"] if "--context" in word]
    return ended.returncode, ended.stdout + ended.stderr, root / argument.removeprefix("--context=dir:///")


@pytest.mark.parametrize(
    ("ref", "version"),
    [("main", "3"), ("v1", "1"), ("old/branch", "1"), ("refs/tags/v1", "1"), ("refs/heads/main", "3")],
)
def test_a_branch_or_tag_is_fetched_without_history(tmp_path: Path, repository: Path, ref: str, version: str) -> None:
    code, said, context = fetch(tmp_path, f"file://{repository}", ref=ref)
    assert code == 0, said
    assert (context / "Dockerfile").read_text() == version
    assert not (context / ".git").exists()


@pytest.mark.parametrize("allowed", ["true", "false"])
def test_a_commit_is_found_whether_or_not_the_server_gives_single_ones(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch, allowed: str
) -> None:
    # By the newer protocol, every server gives single commits.
    for name, value in {"COUNT": "1", "KEY_0": "protocol.version", "VALUE_0": "0"}.items():
        monkeypatch.setitem(QUIET, f"GIT_CONFIG_{name}", value)
    git(repository, "config", "uploadpack.allowReachableSHA1InWant", allowed)
    git(repository, "config", "uploadpack.allowAnySHA1InWant", allowed)
    commit = git(repository, "rev-parse", "main~1")
    code, said, context = fetch(tmp_path, f"file://{repository}", ref=commit)
    assert code == 0, said
    assert (context / "Dockerfile").read_text() == "2"
    assert f"commit {commit}" in said


def test_a_folder_of_the_repository_is_the_context(tmp_path: Path, repository: Path) -> None:
    _, _, context = fetch(tmp_path, f"file://{repository}", directory="images")
    assert (context / "Dockerfile").read_text() == "images 3"


@pytest.mark.parametrize(
    ("path", "target", "keys"),
    [
        ("Dockerfile", "../../secrets/git/token", {}),
        ("Dockerfile", "/etc/passwd", {}),
        ("there/Dockerfile", "../../../secrets/git/token", {"directory": "there"}),
        ("there", "../../secrets", {"directory": "there"}),
        ("there", "/", {"directory": "there"}),
        ("there", "../../secrets/gone", {"directory": "there"}),
        ("Dockerfile", "images/Dockerfile", None),
        ("there", "images", None),
    ],
)
def test_a_folder_or_dockerfile_that_leads_out_of_the_repository_ends_the_build(
    tmp_path: Path, repository: Path, path: str, target: str, keys: dict[str, str] | None
) -> None:
    place = tmp_path / "source" / path
    place.parent.mkdir(exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(target)
    git(tmp_path / "source", "add", ".")
    git(tmp_path / "source", "commit", "--quiet", "--message", "leads out")
    git(tmp_path / "source", "push", "--quiet", str(repository), "main")
    stays = keys is None
    code, said, _ = fetch(tmp_path, f"file://{repository}", token=TOKEN, **(keys or {}))
    assert (code == 0, "leads out of" in said) == (stays, not stays), said


@pytest.mark.parametrize(("name", "ref"), [("website", "missing"), ("website", "0" * 40), ("missing", "HEAD")])
def test_what_is_not_there_fails_with_git_s_own_words(tmp_path: Path, repository: Path, name: str, ref: str) -> None:
    code, said, _ = fetch(tmp_path, f"file://{repository.with_stem(name)}", ref=ref)
    assert code != 0
    assert (ref if name == "website" else "missing.git") in said


@pytest.fixture
def server(repository: Path) -> Iterator[str]:
    """Serve the repository over http to whoever has the token; give its address."""
    with servers.git(repository.parent, "127.0.0.1", login=("oauth2", TOKEN)) as url:
        yield f"{url}/website.git"


def test_a_token_opens_the_repository_and_is_in_no_process_s_arguments_and_in_no_file_of_the_context(
    tmp_path: Path, server: str
) -> None:
    seen = tmp_path / "seen"
    script(tmp_path / "bin" / "git", f'echo "$@" >> {seen}\nenv >> {seen}\nexec {shutil.which("git")} "$@"')
    code, said, context = fetch(tmp_path, server, token=TOKEN, before=str(tmp_path / "bin"))
    assert code == 0, said
    assert (context / "Dockerfile").read_text() == "3"
    assert "fetch" in seen.read_text()
    assert TOKEN not in seen.read_text() + said
    assert not any(TOKEN in place.read_text() for place in context.rglob("*") if place.is_file())


def test_a_token_is_for_its_own_host_and_not_for_one_to_which_that_leads(tmp_path: Path, server: str) -> None:
    with servers.sending_to(server.removesuffix("/website.git")) as url:
        code, said, _ = fetch(tmp_path, f"{url}/website.git", token=TOKEN)
    assert (code != 0, "terminal prompts disabled" in said) == (True, True)


@pytest.mark.parametrize(
    ("token", "words"), [("another-token", "Authentication failed"), (None, "terminal prompts disabled")]
)
def test_without_the_right_token_it_is_refused_and_nobody_is_asked_for_one(
    tmp_path: Path, server: str, token: str | None, words: str
) -> None:
    code, said, _ = fetch(tmp_path, server, token=token)
    assert code != 0
    assert words in said
    assert "another-token" not in said
