"""What a stack with a GitLab Runner registers, on either platform, in a preview and in an update."""

import json
from typing import Any

from components import docker
from components.gitlab import config
from components.kubernetes.network import APP, GITLAB_RUNNER
from tests.support import gitlab
from tests.support.engine import Engine, is_secret, unwrap
from tests.support.kubernetes_platform import Deployed
from tests.support.kubernetes_platform import deploy as deploy_in_cluster
from tests.support.settings import RUNNER, RUNNER_TOKEN, settings

CONTAINER = "gitlab-runner-container"


def on_docker(engine: Engine, **runner: Any) -> dict[str, Any]:
    """Deploy a runner on a Docker host; give the container's inputs."""
    stack = settings(adminPassword=None, gitlabRunner={**RUNNER, **runner}, gitlabRunnerToken=RUNNER_TOKEN)
    engine.run(lambda: docker.deploy(stack))
    return engine.inputs[CONTAINER]


def in_cluster(engine: Engine, **keys: Any) -> Deployed:
    given = {"gitlabRunner": RUNNER, "gitlabRunnerToken": RUNNER_TOKEN, **keys}
    return deploy_in_cluster(engine, **given)


def uploads(container: dict[str, Any]) -> dict[str, Any]:
    return {entry["file"]: unwrap(entry["content"]) for entry in unwrap(container["uploads"])}


def in_clear(engine: Engine) -> str:
    kept = {name: {k: v for k, v in inputs.items() if not is_secret(v)} for name, inputs in engine.inputs.items()}
    return json.dumps(kept, default=str)


def test_on_a_docker_host_a_runner_stands_in_jenkins_place(engine: Engine) -> None:
    on_docker(engine)
    made = {request.type for request in engine.requests.values()}
    assert made == {
        "pulumi:providers:docker",
        "docker:index/remoteImage:RemoteImage",
        "ci:docker:GitlabRunner",
        "docker:index/container:Container",
    }


def test_it_is_a_plain_user_with_the_sockets_group_and_no_port(engine: Engine) -> None:
    container = on_docker(engine)
    assert container["user"] == f"{config.USER}:{config.USER}"
    assert container["groupAdds"] == ["998"]
    assert (container["privileged"], container["capabilities"]) == (False, {"drops": ["ALL"]})
    assert container["securityOpts"] == ["no-new-privileges:true"]
    assert "ports" not in container
    [socket] = container["volumes"]
    assert (socket["hostPath"], socket["containerPath"]) == ("/var/run/docker.sock", "/var/run/docker.sock")


def test_the_token_is_in_one_secret_file_and_nowhere_else(engine: Engine) -> None:
    container = on_docker(engine)
    assert RUNNER_TOKEN in uploads(container)[f"{config.FOLDER}/{config.CONFIG}"]
    assert is_secret(container["uploads"])
    assert RUNNER_TOKEN not in in_clear(engine)


def test_a_preview_shows_the_configuration_without_the_token(engine: Engine) -> None:
    on_docker(engine, concurrency=5)
    shown = gitlab.config(engine.inputs["gitlab-runner"]["configuration"])
    assert (shown["concurrent"], shown["runners"][0]["token"]) == (5, "(ci:gitlabRunnerToken)")


def test_jobs_may_end_before_the_runner_is_replaced(engine: Engine) -> None:
    container = on_docker(engine, stopTimeoutSeconds=900)
    assert container["destroyGraceSeconds"] == container["stopTimeout"] == 900
    assert engine.requests[CONTAINER].deleteBeforeReplace
    assert gitlab.config(uploads(container)[f"{config.FOLDER}/{config.CONFIG}"])["shutdown_timeout"] == 900


def test_the_files_are_not_in_a_folder_that_the_image_declares_as_a_volume(engine: Engine) -> None:
    for file in uploads(on_docker(engine)):
        assert file.startswith("/etc/ci/gitlab-runner/")
    assert f"--config={config.FOLDER}/{config.CONFIG}" in engine.inputs[CONTAINER]["command"]


def test_everything_on_the_host_is_labelled_and_the_components_outputs_are_closed(engine: Engine) -> None:
    container = on_docker(engine)
    assert container["labels"] == [{"label": "ci.project", "value": "ci"}, {"label": "ci.stack", "value": "test"}]
    assert "gitlab-runner" in engine.finished
    assert engine.requests[CONTAINER].parent.endswith("ci:docker:GitlabRunner::gitlab-runner")


def test_in_a_cluster_the_runner_is_in_the_registrys_namespace_and_its_rights_in_the_builds(engine: Engine) -> None:
    made = in_cluster(engine)
    assert made["gitlab-runner-runner"]["metadata"]["namespace"] == "ci"
    for name in ("gitlab-runner-role", "gitlab-runner-binding"):
        assert made[name]["metadata"]["namespace"] == "ci-builds"
    [subject] = made["gitlab-runner-binding"]["subjects"]
    assert (subject["kind"], subject["name"], subject["namespace"]) == ("ServiceAccount", "gitlab-runner", "ci")
    assert not made.of("ClusterRole")


def test_its_rights_are_these_and_no_more(engine: Engine) -> None:
    rules = in_cluster(engine)["gitlab-runner-role"]["rules"]
    rights = {
        (resource, verb, *rule.get("resourceNames", ()))
        for rule in rules
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert rights == {
        *(("pods", verb) for verb in ("create", "delete", "get", "list", "watch")),
        *((f"pods/{way}", verb) for way in ("attach", "exec") for verb in ("create", "get")),
        ("pods/log", "get"),
        ("events", "list"),
        *(("secrets", verb) for verb in ("create", "delete", "update")),
        ("secrets", "get", "registry-pull"),
        ("serviceaccounts", "get", "builder"),
    }
    assert "*" not in json.dumps(rules)


def test_in_a_cluster_the_token_is_in_one_secret_and_nowhere_else(engine: Engine) -> None:
    made = in_cluster(engine)
    files = made["gitlab-runner-files"]["stringData"]
    assert RUNNER_TOKEN in files[config.CONFIG]
    assert is_secret(engine.inputs["gitlab-runner-files"]["stringData"])
    assert RUNNER_TOKEN not in made.in_clear()


def test_another_token_starts_the_pod_anew_and_the_same_one_does_not(engine: Engine) -> None:
    def mark(token: str) -> str:
        again = Engine(preview=engine.preview)
        template = in_cluster(again, gitlabRunnerToken=token)["gitlab-runner-runner"]["spec"]["template"]
        found: str = template["metadata"]["annotations"]["ci/files"]
        return found

    assert mark(RUNNER_TOKEN) == mark(RUNNER_TOKEN)
    assert mark(RUNNER_TOKEN) != mark(f"{RUNNER_TOKEN}-rotated")
    assert RUNNER_TOKEN not in mark(RUNNER_TOKEN)


def test_a_second_runner_never_starts_beside_the_first(engine: Engine) -> None:
    spec = in_cluster(engine)["gitlab-runner-runner"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


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


def test_the_runner_may_connect_to_the_api_the_dns_and_gitlabs_port_and_nobody_to_it(engine: Engine) -> None:
    made = in_cluster(engine, gitlabRunner={"url": "https://gitlab.example.org:8443"})
    policy = made["network-registry-gitlab-runner"]
    assert policy["metadata"]["namespace"] == "ci"
    assert policy["spec"]["podSelector"] == {"matchLabels": {APP: GITLAB_RUNNER}}
    assert policy["spec"]["policyTypes"] == ["Egress"]
    ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    assert ports == {53, 443, 6443, 8443}
    assert made["network-registry-nothing"]["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_a_stack_without_a_runner_has_nothing_of_it(engine: Engine) -> None:
    deploy_in_cluster(engine)
    assert engine.requests
    assert not [name for name in engine.requests if "gitlab" in name]
