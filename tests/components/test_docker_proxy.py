"""What `access: proxy` registers: each claim in both modes, as a preview and as an update."""

from typing import Any

from components import docker
from components.proxy import haproxy
from tests.support.engine import Engine, is_unknown
from tests.support.settings import settings

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


def test_the_rules_know_what_the_stack_is_deployed_from(engine: Engine) -> None:
    """And of these, what jobs may pull: what Jenkins' own image starts from."""
    assert policy_arguments(deploy(engine))[1:] == [
        "haproxy:3.2.21-alpine",
        "ci-jenkins",
        "+jenkins/jenkins:2.568.2-lts-jdk21",
        "+docker:28.5.2-cli",
    ]
