"""A GitLab Runner: what its config.toml gives to jobs, that it knows every key in it, and its authorities."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.docker import host
from components.gitlab import config
from components.kubernetes import tls_preflight
from components.settings import GitlabRunnerSettings, KubernetesSettings
from tests.components.test_every_stack import FOUND, updated
from tests.support import gitlab, kubernetes_stack
from tests.support.settings import RUNNER, RUNNER_TOKEN, settings

ROOT = Path(__file__).parents[2]
CONFIGS = {
    stack: gitlab.config(updated(found["gitlab-runner"]["inputs"]["configuration"]))
    for stack, found in FOUND.items()
    if "gitlab-runner" in found
}
"""By recorded stack, as the state shows it."""


def docker(stack: str) -> dict[str, Any]:
    found: dict[str, Any] = CONFIGS[stack]["runners"][0]["docker"]
    return found


@pytest.mark.parametrize("stack", CONFIGS)
def test_the_runner_knows_every_key(stack: str) -> None:
    assert list(gitlab.unknown(CONFIGS[stack])) == []


def test_a_key_that_the_runner_does_not_know_is_seen() -> None:
    assert list(gitlab.unknown({"runners": [{"docker": {"priviledged": True}}]})) == ["runners.docker.priviledged"]


def test_no_jobs_own_container_is_privileged_and_a_service_only_where_it_is_an_engine() -> None:
    for stack in ("gitlab", "gitlab-none"):
        found = docker(stack)
        assert found["privileged"] is False
        assert "services_privileged" not in found
        assert found["security_opt"] == found["services_security_opt"] == ["no-new-privileges:true"]
    found = docker("gitlab-dind")
    assert (found["privileged"], found["services_privileged"]) == (False, True)
    patterns = found["allowed_privileged_services"]
    assert all(pattern.partition(":")[0].endswith("docker") and "dind" in pattern for pattern in patterns)


@pytest.mark.parametrize("stack", [stack for stack in CONFIGS if "docker" not in CONFIGS[stack]["runners"][0]])
def test_a_jobs_pod_has_no_privilege_no_token_and_just_the_capabilities_of_a_builder(stack: str) -> None:
    pod = gitlab.job_pod(CONFIGS[stack])
    assert pod["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == "builder"
    build, helper = pod["containers"]
    for container in (*pod["initContainers"], build, helper):
        assert not container["securityContext"].get("privileged")
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
    assert build["securityContext"]["capabilities"]["add"] == ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"]
    assert "add" not in helper["securityContext"]["capabilities"]
    # Whether it has a user namespace is looked at before any container of the job's own.
    isolated = pod["initContainers"][-1]["name"] == "isolated"
    assert (pod.get("hostUsers") is False, stack == "kubernetes-everything") == (isolated, isolated)
    # Nor can a variable of the job give it more.
    assert not [key for key in CONFIGS[stack]["runners"][0]["kubernetes"] if "overwrite" in key]


def test_a_file_of_authorities_that_cannot_be_read_is_refused_on_either_platform(tmp_path: Path) -> None:
    keys: dict[str, Any] = {"gitlabRunner": {**RUNNER, "caFile": str(tmp_path / "ca.pem")}}
    keys["gitlabRunnerToken"] = RUNNER_TOKEN
    in_cluster, on_host = kubernetes_stack.settings(**keys), settings(adminPassword=None, **keys)
    for found in (host.preflight(on_host, project="ci", stack="test", state={}), tls_preflight.preflight(in_cluster)):
        assert ("ci:gitlabRunner.caFile", "bad_file") in {(problem.key, problem.code) for problem in found}
    (tmp_path / "ca.pem").write_text("no certificate")
    assert [problem.code for problem in tls_preflight.preflight(in_cluster)] == ["bad_file"]


def test_a_stacks_runner_is_one_machine_to_gitlab_whatever_changes_but_the_stack() -> None:
    def system_id(owner: str, **keys: Any) -> str:
        runner = GitlabRunnerSettings.model_validate({**RUNNER, **keys})
        return config.files(runner, config="", owner=owner, authorities=None)[config.SYSTEM_ID]

    one = system_id("ci/dev")
    # As the runner takes it; any other it would throw away and make one of its own.
    assert re.fullmatch(r"[sr]_[0-9a-zA-Z]{12}", one)
    assert system_id("ci/dev", concurrency=9) == one
    assert system_id("ci/prod") != one


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
    patterns = docker("gitlab-dind")["allowed_privileged_services"]
    assert [pattern for pattern in patterns if re.fullmatch(pattern.replace("*", "[^/]*"), service)]


def test_the_sample_for_a_cluster_uses_the_maintained_builder_with_a_shell_and_what_the_runner_gives_it() -> None:
    text = (ROOT / "examples/gitlab-kubernetes/.gitlab-ci.yml").read_text()
    release = KubernetesSettings().kaniko_image
    assert yaml.safe_load(text)["build"]["image"] == {"name": f"{release}-debug", "entrypoint": [""]}
    used = set(re.findall(r"\$(BUILD_[A-Z_]+)", text))
    assert used == {"BUILD_REGISTRY", "BUILD_PULL_REGISTRY", "BUILD_FLAGS"}
