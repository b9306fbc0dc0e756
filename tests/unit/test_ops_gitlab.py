"""What the operator's verbs do with a stack that has a GitLab Runner, and with Jenkins' own engine."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from ops import gitlab, sample, status
from tests.support import made_stack
from tests.support.settings import RUNNER_TOKEN


@pytest.mark.parametrize(
    ("output", "mark", "said"),
    [
        ("\x1b[0;mVerifying runner... is alive \x1b[0;m runner=abc\n", "ok", "accepts its token"),
        ("Verifying runner... is valid\n", "ok", "accepts its token"),
        ("Verifying runner... is not valid\nFATAL: Failed to verify runners\n", "BAD", "FATAL: Failed to verify"),
        ("This is not GitLab Runner but a stand-in for it\nThe stand-in can't verify.\n", "ok", "runs no jobs"),
        ("", "BAD", "it says nothing"),
    ],
)
def test_whether_gitlab_knows_the_runner_is_what_the_runner_itself_is_told(output: str, mark: str, said: str) -> None:
    found = gitlab.known(output)
    assert (found.mark, said in found.seen) == (mark, True), found


@pytest.mark.parametrize(
    ("platform", "engine", "example"),
    [
        ("docker", "socket", "examples/gitlab-docker"),
        ("docker", "dind", "examples/gitlab-dind"),
        ("kubernetes", None, "examples/gitlab-kubernetes"),
    ],
)
def test_there_is_no_sample_to_start_from_here_and_the_one_to_push_is_named(
    tmp_path: Any, platform: str, engine: str | None, example: str
) -> None:
    with_runner = made_stack.on_docker if platform == "docker" else made_stack.on_cluster
    runner = {"url": "https://gitlab.example.org"} | ({"engine": engine} if engine else {})
    extra: dict[str, Any] = {"adminPassword": None} if platform == "docker" else {}
    stack = with_runner(tmp_path, "gitlab", gitlabRunner=runner, gitlabRunnerToken=RUNNER_TOKEN, **extra)
    trouble = sample.only_gitlab_can(stack)
    assert "takes jobs only from https://gitlab.example.org" in trouble.what
    assert example in trouble.remedy


class OneContainer:
    """A container that runs, and gives this answer to whatever it is told to run."""

    name, id = "ci", "abc"

    def __init__(self, code: int, answer: bytes) -> None:
        self.code, self.answer = code, answer
        self.ran: list[str] = []
        self.attrs: dict[str, Any] = {
            "State": {"Status": "running", "Health": {"Status": "healthy"}, "StartedAt": "2026-01-01T00:00:00.0Z"},
            "Config": {"User": "65532:65532"},
            "HostConfig": {"GroupAdd": ["998"], "Privileged": True},
        }

    def exec_run(self, words: list[str], **_: Any) -> tuple[int, bytes]:
        self.ran += words
        return self.code, self.answer


@pytest.mark.parametrize(
    ("runner", "code", "answer", "said"),
    [
        (True, 0, b"Verifying runner... is alive\n", "accepts its token"),
        (True, 1, b"FATAL: Failed to verify\n", "does not accept the runner"),
        (False, 0, b"29.1.0\n", "version 29.1.0, as user 1000"),
        (False, 143, b"", "not reachable: no answer within 20 s"),
    ],
)
def test_on_a_docker_host_a_runner_is_asked_for_gitlabs_word_and_jenkins_for_its_engine_in_limited_time(
    runner: bool,  # noqa: FBT001 - a case of a table
    code: int,
    answer: bytes,
    said: str,
) -> None:
    there: Any = OneContainer(code, answer)
    found = status.works(there, runner=runner)
    assert (found.mark, said in found.seen) == ("BAD" if code else "ok", True), found
    assert there.ran == [*(gitlab.VERIFY if runner else ["sh", "-c", status.ASK_ENGINE])]


@pytest.mark.parametrize(("does", "code", "said"), [("exec sleep 60", 143, ""), ("echo 29.1.0", 0, "29.1.0\n")])
def test_the_engine_is_asked_in_limited_time_by_an_image_that_has_only_a_shell_and_sleep(
    tmp_path: Path, does: str, code: int, said: str
) -> None:
    (tmp_path / "docker").write_text(f"#!/bin/sh\n{does}\n")
    (tmp_path / "docker").chmod(0o755)
    (tmp_path / "sleep").symlink_to("/bin/sleep")
    ask = ["/bin/sh", "-c", status.ASK_ENGINE.replace("sleep 20", "sleep 0.2")]
    done = subprocess.run(ask, env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (code, said)


def test_a_container_that_is_not_well_or_not_what_was_deployed_is_told_with_its_rights() -> None:
    there: Any = OneContainer(0, b"")
    deployed: dict[str, Any] = {"id": "abc", "outputs": {"mustRun": True, "groupAdds": ["998"]}}
    found = status.how("container", there, deployed)
    assert found.seen.startswith("ci: running, healthy, since 2026-01-01T00:00:00Z, user 65532:65532, ")
    assert found.seen.endswith("groups 998, privileged")
    assert (found.mark, found.remedy) == ("ok", "")
    deployed |= {"id": "xyz", "outputs": {"groupAdds": ["105"]}}
    changed = status.how("container", there, deployed)
    assert changed.mark == "BAD"
    assert changed.told.endswith(" has its name (remove it first); its groups were changed. `make up` mends it")
    state, deployed = there.attrs["State"], {"outputs": {"groupAdds": ["998"], "mustRun": False}}
    state["Health"]["Status"] = "unhealthy"
    assert status.how("container", there, deployed).mark == "BAD"
    state["Health"]["Status"] = "healthy"
    assert status.how("container", there, deployed).mark == "ok"
    for how, remedy in (("exited", "`make up` mends it"), ("paused", "To let it go on: docker unpause ci")):
        state["Status"] = how
        found = status.how("container", there, deployed)
        assert (found.mark, found.remedy) == ("BAD", remedy), "Pulumi does not see a paused one"
    # A refresh records one that never ran as one that need not run.
    there.attrs["State"] = {"Status": "created", "StartedAt": ""}
    assert status.how("container", there, deployed).mark == "BAD"
