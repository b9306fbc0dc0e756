"""What no recorded stack with a GitLab Runner shows: another token, and a BuildKit daemon."""

from typing import Any

from components import labels
from components.gitlab import config
from tests.support import gitlab
from tests.support.engine import Engine
from tests.support.kubernetes_platform import Deployed, deploy
from tests.support.settings import RUNNER, RUNNER_TOKEN


def in_cluster(engine: Engine, **keys: Any) -> Deployed:
    return deploy(engine, **{"gitlabRunner": RUNNER, "gitlabRunnerToken": RUNNER_TOKEN, **keys})


def test_another_token_starts_the_pod_anew_and_the_same_one_does_not(engine: Engine) -> None:
    def mark(token: str) -> str:
        again = Engine(preview=engine.preview)
        template = in_cluster(again, gitlabRunnerToken=token)["gitlab-runner-runner"]["spec"]["template"]
        found: str = template["metadata"]["annotations"][labels.FILES]
        return found

    assert mark(RUNNER_TOKEN) == mark(RUNNER_TOKEN)
    assert mark(RUNNER_TOKEN) != mark(f"{RUNNER_TOKEN}-rotated")
    assert RUNNER_TOKEN not in mark(RUNNER_TOKEN)


def test_jobs_find_the_daemon_and_the_certificate_that_opens_it(engine: Engine) -> None:
    made = in_cluster(engine, buildkit={}, kubernetes={"context": "prod"})
    [runner] = gitlab.config(made["gitlab-runner-files"]["stringData"][config.CONFIG])["runners"]
    certificate = {"name": "buildkit-client", "mount_path": "/secrets/buildkit", "read_only": True}
    assert certificate in runner["kubernetes"]["volumes"]["secret"]
    assert "BUILDKIT_HOST=tcp://buildkit-0.buildkit.ci-buildkit.svc:1234" in runner["environment"]
    assert "BUILDKIT_FLAGS=--tlsdir=/secrets/buildkit --tlsservername=buildkit" in runner["environment"]
