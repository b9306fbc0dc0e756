"""What the operator's verbs do with a stack that has a GitLab Runner."""

from pathlib import Path
from typing import Any

import pytest

from ops import cluster_status, gitlab, sample, status
from tests.support import made_stack
from tests.support.settings import RUNNER_TOKEN


@pytest.mark.parametrize(
    ("code", "output", "well", "said"),
    [
        (0, b"\x1b[0;mVerifying runner... is alive \x1b[0;m runner=abc\n", True, "takes its token"),
        (1, b"Verifying runner... is removed\nFATAL: Failed to verify runners\n", False, "FATAL: Failed to verify"),
        (3, b"This is not GitLab Runner but a stand-in\n", True, "runs no jobs"),
        (127, b"", False, "exit code 127"),
        (0, b"", False, "exit code 0"),
    ],
)
def test_whether_gitlab_knows_the_runner_is_what_the_runner_itself_is_told(
    code: int, output: bytes, *, well: bool, said: str
) -> None:
    asked: list[list[str]] = []

    def run(words: list[str]) -> tuple[int, bytes]:
        asked.append(words)
        return code, output

    assert gitlab.known(run)[0] is well
    assert said in gitlab.known(run)[1]
    assert asked[0] == ["gitlab-runner", "verify", "--config=/etc/ci/gitlab-runner/config.toml"]


@pytest.mark.parametrize(
    ("platform", "engine", "example"),
    [
        ("docker", "socket", "examples/gitlab-docker"),
        ("docker", "dind", "examples/gitlab-dind"),
        ("kubernetes", "none", "examples/gitlab-kubernetes"),
    ],
)
def test_there_is_no_sample_to_start_from_here_and_the_one_to_push_is_named(
    tmp_path: Path, platform: str, engine: str, example: str
) -> None:
    runner = (
        {"url": "https://gitlab.example.org", "engine": engine}
        if platform == "docker"
        else {"url": "https://gitlab.example.org"}
    )
    with_runner = made_stack.on_docker if platform == "docker" else made_stack.on_cluster
    extra: dict[str, Any] = {"adminPassword": None} if platform == "docker" else {}
    stack = with_runner(tmp_path, "gitlab", gitlabRunner=runner, gitlabRunnerToken=RUNNER_TOKEN, **extra)
    trouble = sample.only_gitlab_can(stack)
    assert "takes jobs from https://gitlab.example.org alone" in trouble.what
    assert example in trouble.remedy


class OneRunner:
    """A cluster with a runner's pod in it, or none."""

    def __init__(self, *, ready: bool | None, said: str = "") -> None:
        self.ready, self.said = ready, said
        self.ran: list[str] = []

    def items(self, path: str, **query: str) -> list[dict[str, Any]]:
        assert (path, query) == (
            "/api/v1/namespaces/ci/pods",
            {"labelSelector": "app.kubernetes.io/name=gitlab-runner"},
        )
        if self.ready is None:
            return []
        conditions = [{"type": "Ready", "status": str(self.ready)}]
        return [{"metadata": {"name": "gitlab-runner-1"}, "status": {"conditions": conditions, "phase": "Running"}}]

    def run(self, namespace: str, pod: str, *command: str) -> str:
        assert (namespace, pod) == ("ci", "gitlab-runner-1")
        self.ran += command
        return self.said


def rows(there: Any) -> list[tuple[str, str, bool]]:
    return list(cluster_status._runner(there, "ci"))  # noqa: SLF001


def test_in_a_cluster_the_status_tells_of_the_pod_and_of_what_gitlab_says() -> None:
    there = OneRunner(ready=True, said="Verifying runner... is valid\n0\n")
    [pod, known] = rows(there)
    assert (pod[0], pod[2]) == ("gitlab-runner pod", True)
    assert known == ("GitLab", "knows the runner and takes its token", True)
    assert there.ran[-3:] == list(gitlab.VERIFY)


def test_in_a_cluster_a_refused_token_is_not_well() -> None:
    [_, known] = rows(
        OneRunner(ready=True, said="Verifying runner... is not valid\nFATAL: Failed to verify runners\n1\n")
    )
    assert known[2] is False
    assert "FATAL: Failed to verify runners" in known[1]


def test_in_a_cluster_a_runner_that_is_gone_or_not_ready_is_asked_nothing() -> None:
    assert rows(OneRunner(ready=None)) == [("gitlab-runner pod", "gone from ci; `make up` brings it back", False)]
    there = OneRunner(ready=False)
    [(_, _, well)] = rows(there)
    assert (well, there.ran) == (False, [])


class OneContainer:
    """A container that runs, and gives this answer to whatever it is told to run."""

    name = "gitlab-runner"

    def __init__(self, code: int, answer: bytes) -> None:
        self.code, self.answer = code, answer
        self.ran: list[str] = []
        self.attrs: dict[str, Any] = {
            "Id": "a1",
            "State": {"Status": "running", "Health": {"Status": "healthy"}, "StartedAt": "2026-01-01T00:00:00.0Z"},
            "Config": {"User": "65532:65532"},
            "HostConfig": {"GroupAdd": ["998"]},
        }

    def exec_run(self, words: list[str], **_: Any) -> tuple[int, bytes]:
        self.ran += words
        return self.code, self.answer


def test_on_a_docker_host_a_runner_is_asked_for_gitlabs_word_and_not_for_a_docker_client_that_it_lacks() -> None:
    deployed = {
        "urn": "urn:pulumi:gitlab::ci::docker:index/container:Container::gitlab-runner-container",
        "id": "a1",
        "outputs": {"groupAdds": ["998"]},
    }
    for code, answer, well in ((0, b"Verifying runner... is alive\n", True), (1, b"FATAL: Failed to verify\n", False)):
        there: Any = OneContainer(code, answer)
        found, rows = status._main("container", there, deployed)  # noqa: SLF001
        assert found is well
        assert [title for title, _ in rows] == ["container", "runs as", "GitLab", "drift"]
        assert there.ran == list(gitlab.VERIFY)


def test_an_engine_that_says_nothing_is_not_waited_for_for_ever() -> None:
    deployed = {"urn": "urn:pulumi:dind::ci::docker:index/container:Container::jenkins-controller", "id": "a1"}
    there: Any = OneContainer(143, b"")
    found, rows = status._main("container", there, {**deployed, "outputs": {"groupAdds": ["998"]}})  # noqa: SLF001
    assert not found
    assert there.ran[:2] == ["timeout", "20"]
    assert ("engine from inside", "not reachable: no word from it within 20 s") in rows
