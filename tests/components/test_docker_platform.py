"""What the Docker platform registers: each claim in both modes, as a preview and as an update."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from components import docker
from components.docker import access
from components.settings import DockerSettings, Settings
from tests.support.engine import Engine, is_secret, is_unknown, unwrap
from tests.support.settings import PASSWORD, settings

CONTAINER = "jenkins-controller"


def deploy(engine: Engine, stack: Settings | None = None) -> dict[str, Any]:
    """Deploy a stack; give the container's inputs."""
    engine.run(lambda: docker.deploy(stack or settings()))
    return engine.inputs[CONTAINER]


def uploads(container: dict[str, Any]) -> dict[str, Any]:
    return {entry["file"]: entry["content"] for entry in unwrap(container["uploads"])}


def test_the_container_is_the_articles(engine: Engine) -> None:
    container = deploy(engine)
    assert container["name"] == "jenkins-server"
    assert container["restart"] == "on-failure"
    assert [(port["internal"], port["external"], port["ip"]) for port in container["ports"]] == [
        (8080, 8080, "127.0.0.1"),
        (50000, 50000, "127.0.0.1"),
    ]
    mounted = {entry["containerPath"]: entry.get("volumeName") or entry["hostPath"] for entry in container["volumes"]}
    assert mounted == {"/var/jenkins_home": "jenkins_home", "/var/run/docker.sock": "/var/run/docker.sock"}


def test_jenkins_is_no_more_than_its_user_with_the_sockets_group(engine: Engine) -> None:
    container = deploy(engine)
    assert container["user"] == "1000:1000"
    assert container["groupAdds"] == ["998"]
    assert container["privileged"] is False
    assert container["capabilities"] == {"drops": ["ALL"]}
    assert container["securityOpts"] == ["no-new-privileges:true"]


def test_the_home_outlives_the_stack_and_any_change(engine: Engine) -> None:
    deploy(engine)
    request = engine.requests["jenkins-home"]
    assert request.retainOnDelete
    assert list(request.ignoreChanges) == ["labels"]
    assert engine.inputs["jenkins-home"]["name"] == "jenkins_home"


def test_the_old_container_goes_before_the_new_one_takes_its_name_and_ports(engine: Engine) -> None:
    deploy(engine)
    assert engine.requests[CONTAINER].deleteBeforeReplace


def test_an_edited_health_check_replaces_the_container_since_the_plugin_would_not_change_it(engine: Engine) -> None:
    container = deploy(engine)
    assert list(engine.requests[CONTAINER].replaceOnChanges) == ["healthcheck"]
    assert container["healthcheck"]["tests"][-1] == "http://127.0.0.1:8080/login"
    assert container["wait"] is True


@pytest.mark.parametrize(("seconds", "written"), [(90, "1m30s"), (600, "10m0s"), (3600, "1h0m0s"), (45, "45s")])
def test_a_duration_is_written_as_the_engine_reads_it_back(engine: Engine, seconds: int, written: str) -> None:
    container = deploy(engine, settings(jenkins={"startTimeoutSeconds": seconds}))
    assert container["healthcheck"]["startPeriod"] == written
    assert container["waitTimeout"] == seconds


def test_the_memory_limit_has_no_swap_beside_it(engine: Engine) -> None:
    container = deploy(engine, settings(jenkins={"memoryMib": 3072}))
    assert (container["memory"], container["memorySwap"]) == (3072, 3072)


def test_the_container_is_stopped_and_not_killed(engine: Engine) -> None:
    container = deploy(engine)
    assert container["destroyGraceSeconds"] == container["stopTimeout"] == 60


def test_logs_are_rotated(engine: Engine) -> None:
    container = deploy(engine)
    assert container["logOpts"] == {"max-size": "10m", "max-file": "3"}


def test_the_password_is_nowhere_and_its_hash_is_only_in_a_secret(engine: Engine) -> None:
    container = deploy(engine)
    assert is_secret(container["uploads"])
    everything = json.dumps(engine.inputs, default=str)
    assert PASSWORD not in everything
    in_clear = {name: {k: v for k, v in inputs.items() if not is_secret(v)} for name, inputs in engine.inputs.items()}
    assert "$2a$" not in json.dumps(in_clear, default=str)
    assert "$2a$10$" in uploads(container)["/etc/ci/casc/jenkins.yaml"]


def test_the_git_token_is_a_secret_file_and_in_no_environment_variable(engine: Engine) -> None:
    token = "glpat-0123456789"
    container = deploy(engine, settings(gitToken=token))
    assert uploads(container)["/run/secrets/gitToken"] == token
    in_clear = {name: {k: v for k, v in inputs.items() if not is_secret(v)} for name, inputs in engine.inputs.items()}
    assert token not in json.dumps(in_clear, default=str)


def test_a_preview_shows_what_jenkins_is_configured_with(engine: Engine) -> None:
    deploy(engine, settings(jenkins={"executors": 3}))
    shown = engine.inputs["jenkins"]["configuration"]
    assert yaml.safe_load(shown["jenkins"])["jenkins"]["numExecutors"] == 3
    assert "pipelineJob('sample')" in shown["jobs"]


def test_the_wizard_gets_no_configuration_and_keeps_its_own_password(engine: Engine) -> None:
    container = deploy(engine, settings(jenkins={"setup": "wizard"}, adminPassword=None))
    assert not unwrap(container["uploads"])
    assert "runSetupWizard" not in " ".join(container["envs"])
    assert "CASC_JENKINS_CONFIG" not in " ".join(container["envs"])
    assert engine.inputs["jenkins"].get("configuration") is None


def test_a_ready_image_is_kept_on_the_host_and_used_by_its_id(engine: Engine) -> None:
    container = deploy(engine, settings(jenkins={"image": "registry.example.org/ci/jenkins:1"}))
    assert engine.inputs["jenkins-image"]["keepLocally"] is True
    assert is_unknown(container["image"]) if engine.preview else container["image"] == "sha256:first-seen"


def test_an_image_is_built_from_the_pinned_base_and_client_and_pushed_nowhere(engine: Engine) -> None:
    container = deploy(engine, settings(jenkins={"plugins": ["ansicolor:1", "ldap:2"]}))
    image = engine.inputs["jenkins-image"]
    assert image["skipPush"] is True
    assert image["build"]["args"] == {
        "BASE_IMAGE": "jenkins/jenkins:2.568.2-lts-jdk21",
        "DOCKER_CLI_IMAGE": "docker:28.5.2-cli",
        "EXTRA_PLUGINS": "ansicolor:1 ldap:2",
    }
    assert is_unknown(container["image"]) if engine.preview else container["image"] == "sha256:built"


def test_the_build_context_is_named_relative_to_the_project_so_that_two_clones_have_one_state(engine: Engine) -> None:
    deploy(engine)
    build = engine.inputs["jenkins-image"]["build"]
    assert build["context"] == "components/jenkins/image"
    assert (Path(build["context"]) / "plugins.txt").is_file()
    assert Path(build["dockerfile"]).is_file()


def test_the_hosts_docker_client_is_mounted_where_it_is_asked_for(engine: Engine) -> None:
    container = deploy(engine, settings(jenkins={"dockerClient": "host", "dockerClientPath": "/usr/local/bin/docker"}))
    [client] = [entry for entry in container["volumes"] if entry["containerPath"] == "/usr/bin/docker"]
    assert client == {"hostPath": "/usr/local/bin/docker", "containerPath": "/usr/bin/docker", "readOnly": True}


def test_the_sockets_path_on_the_host_may_differ_from_the_one_inside(engine: Engine) -> None:
    stack = settings(docker={"acceptRootOnHost": True, "socketGroup": 0, "socketPath": "/run/user/1000/docker.sock"})
    container = deploy(engine, stack)
    [mounted] = [entry for entry in container["volumes"] if entry["containerPath"] == "/var/run/docker.sock"]
    assert mounted["hostPath"] == "/run/user/1000/docker.sock"


def test_every_resource_uses_the_provider_of_the_host_that_the_settings_name(engine: Engine) -> None:
    deploy(
        engine, settings(docker={"acceptRootOnHost": True, "socketGroup": 9, "host": "ssh://me@build-1.example.org"})
    )
    assert engine.inputs["host"]["host"] == "ssh://me@build-1.example.org"
    for name in ("jenkins-image", "jenkins-home", CONTAINER):
        assert "pulumi:providers:docker::host::host-id" in engine.requests[name].provider, name


def test_the_component_closes_its_outputs_and_owns_its_children(engine: Engine) -> None:
    deploy(engine)
    assert "jenkins" in engine.finished
    assert engine.requests[CONTAINER].parent.endswith("ci:docker:Jenkins::jenkins")


def test_a_home_that_an_older_release_declared_as_the_controllers_child_is_known_again(engine: Engine) -> None:
    deploy(engine)
    [alias] = engine.requests["jenkins-home"].aliases
    assert alias.spec.parentUrn == "urn:pulumi:test::ci::ci:docker:Jenkins::jenkins"


def test_each_way_to_an_engine_that_the_settings_take_has_its_module() -> None:
    taken = get_args(DockerSettings.model_fields["access"].annotation)
    assert set(taken) == set(access.MODES)


def test_everything_made_is_labelled_with_its_stack(engine: Engine) -> None:
    container = deploy(engine)
    labels = [{"label": "ci.project", "value": "ci"}, {"label": "ci.stack", "value": "test"}]
    assert container["labels"] == labels
    assert engine.inputs["jenkins-home"]["labels"] == labels
