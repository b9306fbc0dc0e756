"""The runner's config.toml: what it gives to jobs, and that the runner knows every key in it."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.gitlab import config
from components.settings import GitlabRunnerSettings, KubernetesSettings
from tests.support import gitlab, kubernetes_stack
from tests.support.settings import RUNNER, RUNNER_TOKEN
from tests.support.settings import settings as stack

ROOT = Path(__file__).parents[2]
PODS = config.Pods(
    namespace="ci-builds",
    service_account="builder",
    pull_secret="registry-pull",
    push_secret="registry-push",
    trust="trusted-ca",
    trust_file="ca.crt",
    capabilities=("CHOWN", "SETUID"),
    home="/kaniko",
    environment={"BUILD_REGISTRY": "registry.ci.svc:5000"},
)


def settings(**keys: Any) -> GitlabRunnerSettings:
    found = stack(gitlabRunner={**RUNNER, **keys}, gitlabRunnerToken=RUNNER_TOKEN).gitlab_runner
    assert found is not None
    return found


def on_docker(**keys: Any) -> dict[str, Any]:
    text = config.for_docker(settings(**keys), name="ci/dev", token=RUNNER_TOKEN, socket="/run/user/1/docker.sock")
    return gitlab.config(text)


def in_cluster(**keys: Any) -> dict[str, Any]:
    stack = kubernetes_stack.settings(gitlabRunner={**RUNNER, **keys}, gitlabRunnerToken=RUNNER_TOKEN)
    assert stack.gitlab_runner is not None
    return gitlab.config(config.for_kubernetes(stack.gitlab_runner, name="ci/prod", token=RUNNER_TOKEN, pods=PODS))


def docker(**keys: Any) -> dict[str, Any]:
    found: dict[str, Any] = on_docker(**keys)["runners"][0]["docker"]
    return found


@pytest.mark.parametrize("engine", ["socket", "dind", "none"])
def test_the_runner_knows_every_key_for_docker(engine: str) -> None:
    assert list(gitlab.unknown(on_docker(engine=engine, helperImage="helper:1", caFile="ca.pem"))) == []


def test_the_runner_knows_every_key_for_kubernetes() -> None:
    assert list(gitlab.unknown(in_cluster(helperImage="helper:1", caFile="ca.pem"))) == []


def test_a_key_that_the_runner_does_not_know_is_seen() -> None:
    wrong = on_docker()
    wrong["runners"][0]["docker"]["priviledged"] = True
    assert list(gitlab.unknown(wrong)) == ["runners.docker.priviledged"]


def test_what_the_settings_say_is_there() -> None:
    found = on_docker(concurrency=7, checkIntervalSeconds=9, stopTimeoutSeconds=11, caFile="ca.pem")
    assert (found["concurrent"], found["check_interval"], found["shutdown_timeout"]) == (7, 9, 11)
    [runner] = found["runners"]
    assert (runner["name"], runner["url"], runner["token"]) == ("ci/dev", RUNNER["url"], RUNNER_TOKEN)
    assert (runner["executor"], runner["limit"]) == ("docker", 7)
    assert runner["tls-ca-file"] == f"{config.FOLDER}/{config.CA}"


def test_a_job_on_docker_has_its_limits_without_swap() -> None:
    found = docker(jobs={"image": "alpine:3.21", "cpuMillicores": 1500, "memoryMib": 512})
    assert (found["image"], found["cpus"], found["memory"], found["memory_swap"]) == (
        "alpine:3.21",
        "1.5",
        "512m",
        "512m",
    )
    assert (found["service_cpus"], found["service_memory"], found["service_memory_swap"]) == ("1.5", "512m", "512m")


def test_only_where_it_is_asked_for_a_job_gets_the_hosts_socket() -> None:
    assert docker(engine="socket")["volumes"] == ["/run/user/1/docker.sock:/var/run/docker.sock", "/cache"]
    for engine in ("dind", "none"):
        assert not [volume for volume in docker(engine=engine)["volumes"] if "docker.sock" in volume]


def test_no_jobs_own_container_is_privileged_and_a_service_only_where_it_is_an_engine() -> None:
    for engine in ("socket", "none"):
        found = docker(engine=engine)
        assert found["privileged"] is False
        assert "services_privileged" not in found
        assert found["security_opt"] == found["services_security_opt"] == ["no-new-privileges:true"]
    found = docker(engine="dind")
    assert (found["privileged"], found["services_privileged"]) == (False, True)
    patterns = found["allowed_privileged_services"]
    assert all(pattern.partition(":")[0].endswith("docker") and "dind" in pattern for pattern in patterns)


def test_a_jobs_own_engine_is_spoken_to_with_certificates() -> None:
    [runner] = on_docker(engine="dind")["runners"]
    assert set(runner["environment"]) == {
        "DOCKER_TLS_CERTDIR=/certs",
        "DOCKER_HOST=tcp://docker:2376",
        "DOCKER_TLS_VERIFY=1",
        "DOCKER_CERT_PATH=/certs/client",
    }
    assert runner["docker"]["volumes"] == ["/certs/client", "/cache"]


def test_a_jobs_pod_has_no_privilege_no_token_and_just_the_capabilities_that_it_is_given() -> None:
    pod = gitlab.job_pod(in_cluster())
    assert pod["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == "builder"
    build, helper = pod["containers"]
    for container in (*pod["initContainers"], build, helper):
        assert container["securityContext"]["privileged"] is False
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
    assert build["securityContext"]["capabilities"]["add"] == ["CHOWN", "SETUID"]
    assert "add" not in helper["securityContext"]["capabilities"]


def test_a_jobs_pod_cannot_be_given_more_by_a_variable_of_the_job() -> None:
    kubernetes = in_cluster()["runners"][0]["kubernetes"]
    assert not [key for key in kubernetes if "overwrite" in key]


def test_every_container_of_a_jobs_pod_has_requests_and_limits() -> None:
    pod = gitlab.job_pod(in_cluster(jobs={"cpuMillicores": 2000, "memoryMib": 4096, "diskMib": 10240}))
    build, helper = pod["containers"]
    assert build["resources"] == {
        "requests": {"cpu": "200m", "memory": "4096Mi", "ephemeral-storage": "512Mi"},
        "limits": {"cpu": "2000m", "memory": "4096Mi", "ephemeral-storage": "10240Mi"},
    }
    assert helper["resources"]["limits"] == {"cpu": "500m", "memory": "256Mi", "ephemeral-storage": "10240Mi"}
    service = {key for key in in_cluster()["runners"][0]["kubernetes"] if key.startswith("service_")}
    assert len(service - {"service_account"}) == 6


def test_kaniko_finds_its_logins_and_authorities_where_it_looks_for_them() -> None:
    volumes = in_cluster()["runners"][0]["kubernetes"]["volumes"]
    [secret], [trust] = volumes["secret"], volumes["config_map"]
    assert secret == {
        "name": "registry-push",
        "mount_path": "/kaniko/.docker",
        "read_only": True,
        "items": {".dockerconfigjson": "config.json"},
    }
    assert (trust["mount_path"], trust["sub_path"]) == ("/kaniko/ssl/certs/ci-trusted.crt", "ca.crt")


def test_a_stacks_runner_is_one_machine_to_gitlab_whatever_changes_but_the_stack() -> None:
    def system_id(owner: str, **keys: Any) -> str:
        return config.files(settings(**keys), config="", owner=owner, authorities=None)[config.SYSTEM_ID]

    one = system_id("ci/dev")
    # As the runner takes it; any other it would throw away and make one of its own.
    assert re.fullmatch(r"[sr]_[0-9a-zA-Z]{12}", one)
    assert system_id("ci/dev", concurrency=9) == one
    assert system_id("ci/prod") != one


def test_authorities_lie_where_the_configuration_looks_for_them() -> None:
    files = config.files(settings(caFile="ca.pem"), config="x", owner="ci/dev", authorities="PEM")
    assert files == {config.CONFIG: "x", config.SYSTEM_ID: files[config.SYSTEM_ID], config.CA: "PEM"}


@pytest.mark.parametrize("folder", ["gitlab-docker", "gitlab-dind", "gitlab-kubernetes"])
def test_a_samples_pipeline_has_the_shape_that_gitlab_takes(folder: str) -> None:
    pipeline = yaml.safe_load((ROOT / "examples" / folder / ".gitlab-ci.yml").read_text())
    for name, job in pipeline.items():
        assert set(job) <= {"image", "services", "script", "variables", "before_script", "stage", "tags", "rules"}, name
        assert job["script"]
        assert all(isinstance(line, str) for line in job["script"])
        image = job["image"]
        assert isinstance(image, str) or set(image) == {"name", "entrypoint"}
    assert (ROOT / "examples" / folder / "Dockerfile").is_file()


def test_the_sample_for_docker_in_docker_uses_a_service_that_may_be_privileged() -> None:
    pipeline = yaml.safe_load((ROOT / "examples/gitlab-dind/.gitlab-ci.yml").read_text())
    [service] = pipeline["build"]["services"]
    patterns = docker(engine="dind")["allowed_privileged_services"]
    assert [pattern for pattern in patterns if re.fullmatch(pattern.replace("*", "[^/]*"), service)]


def test_the_sample_for_a_cluster_uses_the_maintained_builder_with_a_shell_and_what_the_runner_gives_it() -> None:
    text = (ROOT / "examples/gitlab-kubernetes/.gitlab-ci.yml").read_text()
    release = KubernetesSettings().kaniko_image
    assert yaml.safe_load(text)["build"]["image"] == {"name": f"{release}-debug", "entrypoint": [""]}
    used = set(re.findall(r"\$(BUILD_[A-Z_]+)", text))
    assert used == {"BUILD_REGISTRY", "BUILD_PULL_REGISTRY", "BUILD_FLAGS"}
