"""What a stack with a GitLab Runner registers, on either platform, in a preview and in an update."""

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
    mounted = {volume["name"] for volume in runner["kubernetes"]["volumes"]["secret"]}
    secrets = {made[name]["metadata"]["name"] for name in made.of("Secret")}
    assert mounted <= secrets
    assert runner["kubernetes"]["namespace"] == made["namespaces-builds"]["metadata"]["name"]


def test_the_builds_namespace_has_room_for_all_jobs_at_one_time(engine: Engine) -> None:
    runner = {**RUNNER, "concurrency": 3, "jobs": {"cpuMillicores": 2000, "memoryMib": 1024}}
    hard = in_cluster(engine, gitlabRunner=runner)["namespaces-quota"]["spec"]["hard"]
    # Three jobs with their helpers, and ten pods of half a processor and 256 MiB that somebody else starts.
    assert hard["limits.cpu"] == f"{3 * 2500 + 5000}m"
    assert hard["limits.memory"] == f"{3 * 1280 + 2560}Mi"
    assert hard["pods"] == "13"
