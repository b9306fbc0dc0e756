"""What no recorded stack with a GitLab Runner shows: another token, and a registry without TLS behind a node's port."""

from typing import Any

from components import labels
from components.gitlab import config
from tests.support import gitlab
from tests.support.engine import Engine
from tests.support.kubernetes_platform import Deployed
from tests.support.kubernetes_platform import deploy as deploy_in_cluster
from tests.support.settings import RUNNER, RUNNER_TOKEN


def in_cluster(engine: Engine, **keys: Any) -> Deployed:
    given = {"gitlabRunner": RUNNER, "gitlabRunnerToken": RUNNER_TOKEN, **keys}
    return deploy_in_cluster(engine, **given)


def test_another_token_starts_the_pod_anew_and_the_same_one_does_not(engine: Engine) -> None:
    def mark(token: str) -> str:
        again = Engine(preview=engine.preview)
        template = in_cluster(again, gitlabRunnerToken=token)["gitlab-runner-runner"]["spec"]["template"]
        found: str = template["metadata"]["annotations"][labels.FILES]
        return found

    assert mark(RUNNER_TOKEN) == mark(RUNNER_TOKEN)
    assert mark(RUNNER_TOKEN) != mark(f"{RUNNER_TOKEN}-rotated")
    assert RUNNER_TOKEN not in mark(RUNNER_TOKEN)


def test_jobs_push_to_the_stacks_registry_without_knowing_the_password(engine: Engine) -> None:
    made = in_cluster(engine, registry={"plainHttp": True, "nodePort": 30500, "mirror": {}})
    [runner] = gitlab.config(made["gitlab-runner-files"]["stringData"][config.CONFIG])["runners"]
    given = dict(entry.split("=", 1) for entry in runner["environment"])
    assert given == {
        "BUILD_REGISTRY": "registry.ci.svc:5000",
        "BUILD_PULL_REGISTRY": "localhost:30500",
        "BUILD_FLAGS": "--insecure-registry=registry.ci.svc:5000 --insecure-registry=mirror.ci.svc:5000 "
        "--registry-map=index.docker.io=mirror.ci.svc:5000",
    }


def test_jobs_find_the_daemon_and_the_certificate_that_opens_it(engine: Engine) -> None:
    made = in_cluster(engine, buildkit={}, kubernetes={"context": "prod"})
    [runner] = gitlab.config(made["gitlab-runner-files"]["stringData"][config.CONFIG])["runners"]
    certificate = {"name": "buildkit-client", "mount_path": "/secrets/buildkit", "read_only": True}
    assert certificate in runner["kubernetes"]["volumes"]["secret"]
    assert "BUILDKIT_HOST=tcp://buildkit-0.buildkit.ci-buildkit.svc:1234" in runner["environment"]
    assert "BUILDKIT_FLAGS=--tlsdir=/secrets/buildkit --tlsservername=buildkit" in runner["environment"]
