"""What `access: proxy` registers: each claim in both modes, as a preview and as an update."""

import json
from typing import Any

from components import docker
from components.proxy import haproxy
from tests.support.engine import Engine, is_unknown, urn_name
from tests.support.settings import docker_labels, settings

PROXY, VOLUME, CONTROLLER = "proxy-container", "proxy-socket", "jenkins-controller"


def deploy(engine: Engine, **changed: Any) -> dict[str, Any]:
    """Deploy a stack with a proxy; give the proxy's container."""
    stack = settings(docker={"acceptRootOnHost": True, "access": "proxy", "socketGroup": 998, **changed})
    engine.run(lambda: docker.deploy(stack))
    return engine.inputs[PROXY]


def mounts(container: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    return {
        entry["containerPath"]: (entry.get("volumeName") or entry["hostPath"], entry["readOnly"])
        for entry in container["volumes"]
    }


def test_only_the_proxy_has_the_engines_socket_and_its_group(engine: Engine) -> None:
    container = deploy(engine)
    assert mounts(container)["/var/run/docker.sock"] == ("/var/run/docker.sock", True)
    assert container["groupAdds"] == ["998"]
    jenkins = engine.inputs[CONTROLLER]
    assert "docker.sock" not in json.dumps(jenkins["volumes"])
    assert not jenkins.get("groupAdds")


def test_jenkins_has_the_proxys_socket_by_a_volume_that_it_cannot_write_to(engine: Engine) -> None:
    container = deploy(engine)
    jenkins = engine.inputs[CONTROLLER]
    assert mounts(container)["/run/ci-docker"] == ("jenkins-docker-proxy", False)
    assert mounts(jenkins)["/run/ci-docker"] == ("jenkins-docker-proxy", True)
    assert "DOCKER_HOST=unix:///run/ci-docker/docker.sock" in jenkins["envs"]
    assert "    bind unix@/run/ci-docker/docker.sock mode 660\n" in variables(container)["CONFIGURATION"]


def variables(container: dict[str, Any]) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in container["envs"])


def policy_arguments(container: dict[str, Any]) -> list[str]:
    """Give what the rules are told of the stack: the proxy's own name, and the images that it is deployed from."""
    [line] = [line for line in variables(container)["CONFIGURATION"].splitlines() if "lua-load" in line]
    return line.split("policy.lua ")[1].split()


def test_builds_go_without_buildkit_into_whose_tunnel_no_rule_sees(engine: Engine) -> None:
    deploy(engine)
    assert "DOCKER_BUILDKIT=0" in engine.inputs[CONTROLLER]["envs"]


def test_the_proxys_socket_is_in_a_tmpfs_for_its_own_user_and_jenkins_group(engine: Engine) -> None:
    container = deploy(engine)
    volume = engine.inputs[VOLUME]
    assert volume["driverOpts"]["type"] == "tmpfs"
    assert "uid=99,gid=1000,mode=0750" in volume["driverOpts"]["o"]
    assert container["user"] == "99:1000"


def test_the_proxy_has_no_network_no_port_no_capability_and_nothing_to_write_to(engine: Engine) -> None:
    container = deploy(engine)
    assert container["networkMode"] == "none"
    assert "ports" not in container
    assert container["capabilities"] == {"drops": ["ALL"]}
    assert container["securityOpts"] == ["no-new-privileges:true"]
    assert container["readOnly"] is True
    assert container["privileged"] is False
    assert set(container["tmpfs"]) == {"/tmp"}


def test_its_memory_is_limited_without_swap_and_its_log_is_rotated(engine: Engine) -> None:
    container = deploy(engine, proxy={"memoryMib": 256})
    assert (container["memory"], container["memorySwap"]) == (256, 256)
    assert container["logOpts"] == {"max-size": "10m", "max-file": "3"}


def test_jenkins_starts_once_the_proxy_reaches_the_engine(engine: Engine) -> None:
    container = deploy(engine)
    assert PROXY in {urn_name(urn) for urn in engine.requests[CONTROLLER].dependencies}
    assert container["wait"] is True
    assert container["healthcheck"]["tests"][-1] == "http://127.0.0.1:8079/"


def test_a_changed_name_is_changed_in_the_rules_too(engine: Engine) -> None:
    container = deploy(engine, proxy={"containerName": "other.proxy"})
    assert container["name"] == engine.inputs[VOLUME]["name"] == "other.proxy"
    assert policy_arguments(container)[0] == "other.proxy"


def test_the_rules_are_written_where_haproxy_looks_for_them(engine: Engine) -> None:
    container = deploy(engine)
    assert variables(container)["POLICY"] == haproxy.POLICY.read_text()
    assert 'printf "%s\\n" "$POLICY" > /tmp/policy.lua' in container["command"][2]
    assert "lua-load-per-thread /tmp/policy.lua " in variables(container)["CONFIGURATION"]


def test_an_image_whose_name_means_another_now_is_not_deployed(engine: Engine) -> None:
    """The plugin looks a name up at each refresh, and whoever may build can give the name to another image."""
    container = deploy(engine)
    pin = engine.requests["proxy-image-haproxy:3.2.21-alpine"]
    assert list(pin.ignoreChanges) == ["input"]
    assert is_unknown(container["image"]) if engine.preview else container["image"] == "sha256:first-seen"


def test_an_image_with_a_digest_is_taken_as_it_is(engine: Engine) -> None:
    container = deploy(engine, proxy={"image": f"haproxy:3.2.21-alpine@sha256:{'0' * 64}"})
    assert not [name for name in engine.requests if name.startswith("proxy-image-")]
    assert is_unknown(container["image"]) if engine.preview else container["image"] == "sha256:ready"


def test_the_rules_know_what_the_stack_is_deployed_from(engine: Engine) -> None:
    """And of these, what jobs may pull: what Jenkins' own image starts from."""
    assert policy_arguments(deploy(engine))[1:] == [
        "haproxy:3.2.21-alpine",
        "ci-jenkins",
        "+jenkins/jenkins:2.568.2-lts-jdk21",
        "+docker:28.5.2-cli",
    ]


def test_its_image_is_used_by_its_id_and_kept_on_the_host(engine: Engine) -> None:
    container = deploy(engine)
    assert engine.inputs["proxy-image"]["name"] == "haproxy:3.2.21-alpine"
    assert engine.inputs["proxy-image"]["keepLocally"] is True
    assert is_unknown(container["image"]) if engine.preview else container["image"].startswith("sha256:")


def test_everything_of_it_is_labelled_with_its_stack_and_held_by_its_component(engine: Engine) -> None:
    container = deploy(engine)
    labels = docker_labels()
    assert container["labels"] == engine.inputs[VOLUME]["labels"] == labels
    assert "proxy" in engine.finished
    for name in (PROXY, VOLUME, "proxy-image"):
        assert engine.requests[name].parent.endswith("ci:docker:Proxy::proxy")
        assert "pulumi:providers:docker::host::host-id" in engine.requests[name].provider


def test_the_outputs_say_that_it_is_no_sandbox_and_where_its_refusals_are(engine: Engine) -> None:
    stack = settings(docker={"acceptRootOnHost": True, "access": "proxy", "socketGroup": 998})
    found: dict[str, Any] = {}
    engine.run(lambda: found.update(docker.deploy(stack)))
    steps = " ".join(found["next"])
    assert "no sandbox" in steps
    assert "docker logs jenkins-docker-proxy" in steps
    assert found["engine"] == found["dockerHost"] == "unix:///var/run/docker.sock"
    assert set(found["sidecars"]) == {"proxy"}
