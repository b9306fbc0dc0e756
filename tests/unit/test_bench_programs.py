"""The bare program and the `docker run` line are the same deployment as the stack's."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from tools.bench import bare, plain_docker
from tools.bench.docker_words import DockerWords

STACK = "urn:pulumi:bench::ci::pulumi:pulumi:Stack::ci-bench"
PROVIDER = "urn:pulumi:bench::ci::pulumi:providers:docker::host"
IMAGE = "urn:pulumi:bench::ci::docker:index/remoteImage:RemoteImage::jenkins-image"
VOLUME = "urn:pulumi:bench::ci::ci:docker:Jenkins$docker:index/volume:Volume::jenkins-home"
CONTAINER = "urn:pulumi:bench::ci::ci:docker:Jenkins$docker:index/container:Container::jenkins-controller"


def secret(value: Any) -> dict[str, Any]:
    return {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "plaintext": json.dumps(value)}


def resource(urn: str, **parts: Any) -> dict[str, Any]:
    kind = urn.split("::")[2].rpartition("$")[2]
    return {"urn": urn, "type": kind, "custom": True, **parts}


def deployment(**container: Any) -> dict[str, Any]:
    inputs = {"__defaults": ["start"], "start": True, "name": "ci-ours", "image": "sha256:abc", **container}
    resources = [
        {**resource(STACK, outputs={"url": "http://127.0.0.1:18080"}), "custom": False},
        resource(PROVIDER, inputs={"__internal": {}, "host": "unix:///s", "version": "5.2.0"}),
        {**resource("urn:pulumi:bench::ci::ci:docker:Jenkins::jenkins"), "custom": False},
        resource(
            IMAGE,
            provider=f"{PROVIDER}::123",
            inputs={"name": "stand-in:1", "keepLocally": True},
            outputs={"imageId": "sha256:abc", "repoDigest": ""},
        ),
        resource(
            VOLUME,
            provider=f"{PROVIDER}::123",
            inputs={"name": "ci-ours"},
            outputs={"id": "ci-ours", "name": "ci-ours"},
            retainOnDelete=True,
            ignoreChanges=["labels"],
        ),
        resource(
            CONTAINER,
            provider=f"{PROVIDER}::123",
            inputs=inputs,
            propertyDependencies={"image": [IMAGE], "volumes": [VOLUME]},
        ),
    ]
    return {"deployment": {"resources": resources}}


def program(state: dict[str, Any], renames: dict[str, str] | None = None) -> str:
    return bare.program(state, renames or {}, DockerWords())


def call(text: str, kind: str) -> dict[str, str]:
    """Give the arguments of the one call of this class in a program, as they are written."""
    calls = [
        node.value
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == kind
    ]
    assert len(calls) == 1, text
    return {keyword.arg or "": ast.unparse(keyword.value) for keyword in calls[0].keywords}


def test_the_bare_program_declares_what_was_deployed_and_nothing_that_the_plugin_filled_in() -> None:
    text = program(deployment(memorySwap=2048, ports=[{"internal": 8080, "ip": "127.0.0.1"}]))
    container = call(text, "docker.Container")
    assert container["memory_swap"] == "2048"
    assert container["ports"] == "[docker.ContainerPortArgs(internal=8080, ip='127.0.0.1')]"
    assert "start" not in container
    assert set(call(text, "docker.Provider")) == {"host"}


def test_the_bare_program_refers_from_one_resource_to_the_other_as_the_stack_does() -> None:
    volumes = [{"volumeName": "ci-ours", "containerPath": "/home"}]
    container = call(program(deployment(volumes=volumes)), "docker.Container")
    assert container["image"] == "jenkins_image.image_id"
    assert "volume_name=jenkins_home.name" in container["volumes"]
    assert container["name"] == "'ci-ours'"  # equal to the volume's, but it does not depend on it
    assert container["opts"] == "pulumi.ResourceOptions(provider=host)"


def test_the_bare_program_keeps_options_outputs_and_what_is_secret() -> None:
    text = program(deployment(uploads=secret([{"file": "/a", "content": "hash"}])))
    assert call(text, "docker.Container")["uploads"] == (
        "pulumi.Output.secret([docker.ContainerUploadArgs(file='/a', content='hash')])"
    )
    assert "retain_on_delete=True" in call(text, "docker.Volume")["opts"]
    assert "ignore_changes=['labels']" in call(text, "docker.Volume")["opts"]
    assert "pulumi.export('url', 'http://127.0.0.1:18080')" in text


def test_the_bare_program_has_a_name_and_ports_of_its_own_also_inside_its_texts() -> None:
    state = deployment(uploads=[{"content": "url: http://127.0.0.1:18080/"}], ports=[{"external": 18080}])
    text = program(state, {"ci-ours": "ci-bare", "18080": "18090"})
    assert "18080" not in text
    assert "ci-ours" not in text
    assert call(text, "docker.Container")["ports"] == "[docker.ContainerPortArgs(external=18090)]"
    assert "http://127.0.0.1:18090/" in text


def test_the_bare_program_waits_for_what_its_component_waited_for_and_as_long_as_it_did() -> None:
    component = "urn:pulumi:bench::ci::ci:docker:Jenkins::jenkins"
    state = deployment()
    *others, container = state["deployment"]["resources"]
    for each in others:
        if each["urn"] == component:
            each["dependencies"] = [IMAGE, VOLUME]
    container |= {"parent": component, "dependencies": [IMAGE], "customTimeouts": {"create": 90, "delete": 0}}
    container["propertyDependencies"] = {"image": [IMAGE]}
    options = call(program(state), "docker.Container")["opts"]
    assert "depends_on=[jenkins_home]" in options  # the image is there by reference
    assert "custom_timeouts=pulumi.CustomTimeouts(create='90s')" in options


def test_the_provider_of_the_engines_own_functions_is_not_declared() -> None:
    state = deployment()
    state["deployment"]["resources"].append(resource("urn:pulumi:b::ci::pulumi:providers:pulumi::default"))
    assert program(state) == program(deployment())


def test_a_map_is_no_object_and_keeps_its_keys() -> None:
    container = call(program(deployment(logOpts={"max-size": "10m", "maxFile": "3"})), "docker.Container")
    assert container["log_opts"] == "{'max-size': '10m', 'maxFile': '3'}"


def test_a_build_is_written_with_the_class_that_the_package_names_differently() -> None:
    urn = "urn:pulumi:bench::ci::docker:index/image:Image::jenkins-image"
    build = {"context": "image", "args": {"BASE_IMAGE": "x"}}
    state = {"deployment": {"resources": [resource(urn, inputs={"build": build, "imageName": "ci:1"})]}}
    assert call(program(state), "docker.Image")["build"] == (
        "docker.DockerBuildArgs(context='image', args={'BASE_IMAGE': 'x'})"
    )


def test_a_resource_of_another_plugin_is_refused_by_its_type() -> None:
    urn = "urn:pulumi:bench::ci::random:index/randomId:RandomId::id"
    with pytest.raises(bare.UnknownShapeError, match="random:index/randomId:RandomId"):
        program({"deployment": {"resources": [resource(urn, inputs={})]}})


def test_docker_run_is_given_every_part_of_the_container(tmp_path: Path) -> None:
    container = {
        "name": "ci-hand",
        "user": "1000:1000",
        "groupAdds": ["998"],
        "envs": ["A=b c"],
        "memory": 2048,
        "memorySwap": 2048,
        "capabilities": {"drops": ["ALL"]},
        "labels": [{"label": "ci.stack", "value": "first"}],
        "ports": [{"internal": 8080, "external": 18080, "ip": "127.0.0.1", "protocol": "tcp"}],
        "volumes": [
            {"volumeName": "home", "containerPath": "/home", "readOnly": False},
            {"hostPath": "/s", "containerPath": "/var/run/docker.sock", "readOnly": True},
        ],
        "uploads": [{"file": "/etc/x", "content": "text"}],
        "logOpts": {"max-size": "10m"},
        "healthcheck": {"tests": ["CMD", "curl", "-o", "/dev/null", "http://a b"], "interval": "5s", "retries": 6},
        "wait": True,
        "privileged": False,
    }
    files = tmp_path / "files"
    plain_docker.write_files(container, files)
    line = " ".join(plain_docker.words(container, "stand-in:1", files))
    for part in (
        "--name ci-hand",
        "--user 1000:1000",
        "--group-add 998",
        "--env A=b c",
        "--memory 2048m",
        "--memory-swap 2048m",
        "--cap-drop ALL",
        "--label ci.stack=first",
        "--publish 127.0.0.1:18080:8080",
        "--volume home:/home",
        "--volume /s:/var/run/docker.sock:ro",
        f"--volume {files}/0:/etc/x:ro",
        "--log-opt max-size=10m",
        "--health-cmd curl -o /dev/null 'http://a b'",
        "--health-interval 5s",
        "--health-retries 6",
    ):
        assert part in line
    assert line.endswith(" stand-in:1")
    assert (files / "0").read_text() == "text"


@pytest.mark.parametrize("strange", [{"tmpfs": {"/tmp": ""}}, {"privileged": True}])
def test_a_container_that_docker_run_would_not_make_the_same_is_refused(strange: dict[str, Any]) -> None:
    with pytest.raises(plain_docker.NotTheSameError, match=r"tmpfs|privilege"):
        plain_docker.words({"name": "x", **strange}, "stand-in:1", Path("/files"))
