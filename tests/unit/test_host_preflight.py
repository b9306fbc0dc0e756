"""What is found on the host before anything is made there."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from components.docker import host
from components.docker.access import host_socket
from components.docker.access.host_socket import group_in_container
from components.docker.managed_names import KINDS
from components.settings import NotAcceptedError, Problem
from components.settings.docker import PLUGIN_VARIABLES
from tests.support import fake_docker
from tests.support.fake_docker import container, volume
from tests.support.programs import script
from tests.support.settings import settings
from tests.support.verbs import free_port

OURS = "ci/test"


@pytest.fixture
def port() -> int:
    return free_port()


def preflight(
    tmp_path: Path,
    *,
    port: int,
    jenkins: dict[str, Any] | None = None,
    docker: dict[str, Any] | None = None,
    known: dict[str, Any] | None = None,
    **engine: Any,
) -> list[Problem]:
    with fake_docker.listening(tmp_path / "docker.sock", **engine) as where:
        stack = settings(
            docker={"acceptRootOnHost": True, "host": where, **(docker or SOCKET)},
            jenkins={"httpPort": port, "agentPort": None, **(jenkins or {})},
        )
        return list(host.preflight(stack, project="ci", stack="test", state=KNOWN if known is None else known))


def refused(*args: Any, **keys: Any) -> list[tuple[str, str]]:
    return [(problem.key, problem.code) for problem in preflight(*args, **keys)]


def state(*named: tuple[str, str], owner: str | None = "a1") -> dict[str, Any]:
    """Give a state with these containers and networks, and the stack's id."""
    types = {kind: name for name, kind in KINDS.items()}
    made = {name: {"type": types[kind], "outputs": {"name": name}} for kind, name in named}
    return made | ({"urn:Stash::owner": {"type": "pulumi:index:Stash", "outputs": {"output": owner}}} if owner else {})


KNOWN = {**state(("container", "jenkins-server"), ("container", "engine")), "n": state(("network", "engine"))["engine"]}
SOCKET = {"socketGroup": 998}
DIND = {"access": "dind", "dind": {"containerName": "engine"}}
PROXY = {"access": "proxy", "socketGroup": 998, "proxy": {"containerName": "engine"}}
ADOPTED = {"adoptHome": True}
HOME, IMAGES, CERTIFICATES = "jenkins_home", "engine-images", "engine-certificates"


def volumes(*names: str, owner: str | None = None) -> dict[str, Any]:
    return {"volumes": {name: volume(name, owner=owner) for name in names}}


def former(project: str) -> dict[str, Any]:
    """Give a home with the labels of an earlier version."""
    return {"volumes": {HOME: {"Name": HOME, "Labels": {"ci.project": project, "ci.stack": "test"}}}}


NEVER_RAN = container("x", owner="ci/b", volume=HOME, state="created")
MINE = [
    container("jenkins-server", owner=OURS, volume=HOME),
    container("engine", owner=OURS, volume=IMAGES, network="engine"),
    container("a-job", volume=HOME),
    container("another-job", volume=IMAGES),
]


@pytest.mark.parametrize(
    "there",
    [
        {},
        former("ci"),
        {**volumes(HOME), "jenkins": ADOPTED},
        {**volumes(HOME, owner="shop/test"), "jenkins": ADOPTED},
        # Another stack of the project left what no stack uses now.
        {**volumes(HOME, IMAGES, owner="ci/offline"), "docker": DIND},
        {**volumes(HOME, IMAGES, owner="ci/offline"), "docker": DIND, "containers": MINE},
        {
            **volumes(HOME, IMAGES, CERTIFICATES, owner=OURS),
            "docker": DIND,
            "containers": MINE,
            "networks": {"engine": volume("engine", owner=OURS)},
        },
        {"containers": [container("jenkins-server", owner="ci/renamed#a1", volume=HOME)]},
        # A job has given its container labels, and has never started it.
        {
            **volumes(HOME),
            "jenkins": ADOPTED,
            "containers": [container("x", owner="ci/b", volume=HOME, state="created")],
        },
        # A job has given its image labels, which the container of that image has too.
        {
            **volumes(HOME, owner=OURS),
            "containers": [container("x", owner="ci/b#b2", volume=HOME)],
            "images": {"sha256:x": {"Config": {"Labels": container("x", owner="ci/b#b2")["Labels"]}}},
        },
        # The engine gives a network by the beginning of its id too.
        {"docker": DIND, "networks": {"engine": volume("another")}},
    ],
)
def test_what_is_the_stacks_own_or_nobodys_is_not_in_the_way(tmp_path: Path, port: int, there: dict[str, Any]) -> None:
    assert preflight(tmp_path, port=port, **there) == []


@pytest.mark.parametrize(
    ("key", "there"),
    [
        *(
            ("jenkins.containerName", {"containers": [container("jenkins-server", owner=owner)]})
            for owner in ("ci/offline", "shop/offline", None)
        ),
        *(("jenkins.homeVolume", volumes(HOME, owner=owner)) for owner in (None, "shop/test", "shop/offline")),
        ("jenkins.homeVolume", former("shop")),
        ("docker.dind.containerName", {"docker": DIND, "containers": [container("engine")]}),
        ("docker.dind.containerName", {"docker": DIND, "networks": {"engine": volume("engine")}}),
        ("docker.dind.containerName", {"docker": DIND, "networks": {"engine": volume("engine", owner="ci/other")}}),
        ("docker.dind.containerName", {"docker": DIND, **volumes(IMAGES, owner="shop/other")}),
        ("docker.dind.containerName", {"docker": DIND, **volumes(CERTIFICATES)}),
        ("docker.dind.containerName", {"docker": DIND, **volumes(CERTIFICATES, owner="ci/other")}),
        ("docker.proxy.containerName", {"docker": PROXY, "containers": [container("engine")]}),
        ("docker.proxy.containerName", {"docker": PROXY, **volumes("engine", owner="ci/other")}),
        *(
            ("jenkins.containerName", {"jenkins": {"agents": 2}, **there})
            for there in (
                {"containers": [container("jenkins-server-agent-2")]},
                {"networks": {"jenkins-server-agents": volume("jenkins-server-agents")}},
                volumes("jenkins-server-agents", owner="ci/other"),
                volumes("jenkins-server-agents-secrets"),
            )
        ),
    ],
)
def test_what_somebody_else_made_is_refused(tmp_path: Path, port: int, key: str, there: dict[str, Any]) -> None:
    assert refused(tmp_path, port=port, **there) == [(f"ci:{key}", "name_taken")]


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("docker.dind.containerName", {"docker": {"access": "dind", "dind": {"containerName": "jenkins-server"}}}),
        ("docker.dind.containerName", {"docker": DIND, "jenkins": {"homeVolume": CERTIFICATES}}),
        ("docker.dind.containerName", {"docker": DIND, "jenkins": {"homeVolume": IMAGES}}),
        ("docker.proxy.containerName", {"docker": PROXY, "jenkins": {"containerName": "engine"}}),
        ("docker.proxy.containerName", {"docker": PROXY, "jenkins": {"homeVolume": "engine"}}),
        ("jenkins.containerName", {"jenkins": {"agents": 1, "homeVolume": "jenkins-server-agents"}}),
        ("docker.prune.containerName", {"docker": {**SOCKET, "prune": {"containerName": "jenkins-server"}}}),
    ],
)
def test_a_name_that_two_settings_give_to_one_kind_of_thing_is_refused(
    tmp_path: Path, port: int, key: str, given: dict[str, Any]
) -> None:
    assert refused(tmp_path, port=port, **given) == [(f"ci:{key}", "duplicate")]
    assert preflight(tmp_path, port=port, jenkins={"containerName": HOME, "homeVolume": HOME}) == []


@pytest.mark.parametrize(
    ("owner", "remedy"), [("ci/offline", "make down STACK=test"), ("shop/x", "docker rm -f jenkins-server")]
)
def test_a_taken_name_is_told_with_a_remedy_and_with_nothing_that_a_label_says(
    tmp_path: Path, port: int, owner: str, remedy: str
) -> None:
    [problem] = preflight(tmp_path, port=port, containers=[container("jenkins-server", owner=owner)])
    assert remedy in problem.instead
    assert not [word for word in owner.split("/") if len(word) > 2 and word in str(problem)]


@pytest.mark.parametrize(
    ("owner", "known", "code"),
    [
        (f"{OURS}#b2", KNOWN, "name_taken"),  # another clone has a stack of this name
        (f"{OURS}#a1", state(), "not_in_state"),
        (f"{OURS}#a1", state(owner=None), "name_taken"),
        (OURS, state(), "name_taken"),  # of an earlier version, and the state does not know it
        (f"{OURS}#a1", KNOWN, None),
        (OURS, state(("container", "jenkins-server"), owner=None), None),
    ],
)
def test_a_container_is_the_stacks_own_by_the_id_in_its_state_or_because_the_state_knows_it(
    tmp_path: Path, port: int, owner: str, known: dict[str, Any], code: str | None
) -> None:
    there = [container("jenkins-server", owner=owner)]
    expected = [("ci:jenkins.containerName", code)] if code else []
    assert refused(tmp_path, port=port, known=known, containers=there) == expected


def test_a_volume_that_another_clones_stack_of_this_name_uses_is_refused_and_an_unused_one_is_not(
    tmp_path: Path, port: int
) -> None:
    there = volumes(HOME, owner=f"{OURS}#b2")
    using = container("other", owner=f"{OURS}#b2", volume=HOME)
    assert refused(tmp_path, port=port, containers=[using], **there) == [("ci:jenkins.homeVolume", "in_use")]
    assert refused(tmp_path, port=port, known={}, **there) == []
    [problem] = preflight(tmp_path, port=port, containers=[using], **there)
    assert f"docker rm -f {using['Id'][:12]}" in problem.instead
    assert "container other" not in str(problem), "a job chooses its container's name"


@pytest.mark.parametrize(("kept", "key"), [(HOME, "jenkins.homeVolume"), (IMAGES, "docker.dind.containerName")])
@pytest.mark.parametrize("owner", [None, OURS, "ci/offline", "shop/offline"])
def test_a_volume_is_refused_while_another_stacks_container_uses_it_whoever_made_it(
    tmp_path: Path, port: int, kept: str, key: str, owner: str | None
) -> None:
    for user in ("ci/offline", "shop/test"):
        there = {**volumes(kept, owner=owner), "containers": [container("other", owner=user, volume=kept)]}
        assert refused(tmp_path, port=port, docker=DIND, jenkins=ADOPTED, **there) == [(f"ci:{key}", "in_use")]


def test_a_port_that_another_container_holds_is_refused_with_its_name(tmp_path: Path, port: int) -> None:
    [problem] = preflight(tmp_path, port=port, containers=[container("grafana", port=port, ip="0.0.0.0")])
    assert (problem.key, problem.code) == ("ci:jenkins.httpPort", "port_in_use")
    assert "docker stop grafana" in problem.instead
    assert str(port + 1) in problem.instead
    assert preflight(tmp_path, port=port, containers=[container("grafana", port=port, ip="127.0.0.9")]) == []


def test_a_port_that_another_process_holds_is_refused_but_not_the_stacks_own(tmp_path: Path, port: int) -> None:
    own = [container("jenkins-server", owner=OURS, port=port)]
    with socket.create_server(("127.0.0.1", port)):
        assert preflight(tmp_path, port=port, containers=own) == []
        [problem] = preflight(tmp_path, port=port)
        never_ran = [container("jenkins-server", owner=OURS, state="created")]
        [left] = preflight(tmp_path, port=port, containers=never_ran)
    assert "docker rm -f jenkins-server`, and restart the engine" in left.instead
    assert (problem.key, problem.code) == ("ci:jenkins.httpPort", "port_in_use")
    assert f"ss -ltnp 'sport = :{port}'" in problem.instead
    assert "docker-proxy" not in problem.instead


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.9", "0.0.0.0"])
def test_an_address_that_this_host_has_is_taken(tmp_path: Path, port: int, address: str) -> None:
    assert preflight(tmp_path, port=port, jenkins={"bindAddress": address, "public": True}) == []


@pytest.mark.parametrize(
    ("jenkins", "key", "code"),
    [
        *(
            ({"bindAddress": each}, "bindAddress", "address_not_on_host")
            for each in ("192.0.2.7", "2001:db8::7", "fe80::7")
        ),
        ({"dockerClient": "host", "dockerClientPath": "/nowhere/docker"}, "dockerClientPath", "not_found"),
        ({"dockerClient": "host", "dockerClientPath": "/usr/bin"}, "dockerClientPath", "not_found"),
        ({"configuration": "/nowhere/jenkins.yaml"}, "configuration", "not_found"),
    ],
)
def test_what_this_host_lacks_is_refused_beforehand(
    tmp_path: Path, port: int, jenkins: dict[str, Any], key: str, code: str
) -> None:
    assert refused(tmp_path, port=port, jenkins=jenkins) == [(f"ci:jenkins.{key}", code)]


def test_what_somebody_paused_or_cut_off_is_refused_since_the_plugin_does_not_see_it(tmp_path: Path, port: int) -> None:
    paused: dict[str, Any] = {"containers": [container("jenkins-server", owner=OURS, state="paused")]}
    [problem] = preflight(tmp_path, port=port, **paused)
    assert (problem.key, problem.code) == ("ci:jenkins.containerName", "by_hand")
    assert "docker unpause jenkins-server" in problem.instead
    for state, network, codes in (("running", "bridge", ["by_hand"]), ("running", "engine", []), ("exited", "", [])):
        there = [container("engine", owner=OURS, state=state, network=network)]
        found = preflight(tmp_path, port=port, docker=DIND, containers=there)
        assert [problem.code for problem in found] == codes


@pytest.mark.parametrize("name", PLUGIN_VARIABLES)
def test_a_variable_that_leads_the_plugin_to_another_engine_is_refused(tmp_path: Path, port: int, name: str) -> None:
    value = "unix:///run/my docker.sock"
    with pytest.MonkeyPatch.context() as environment:
        for harmless in ("DOCKER_CONFIG", "DOCKER_BUILDKIT"):
            environment.setenv(harmless, "1")
        environment.setenv(name, "")
        environment.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")  # the stack's own
        assert preflight(tmp_path, port=port) == []
        environment.setenv(name, value)
        [problem] = preflight(tmp_path, port=port)
    assert (problem.key, problem.code) == (name, "conflict")
    assert f"unset {name}" in problem.instead
    assert (f"ci:docker.host '{value}'" in problem.instead) is (name == "DOCKER_HOST")
    assert (value in str(problem)) is not name.endswith("_MATERIAL")


def found(**docker: Any) -> host_socket.Socket:
    return host_socket.find(settings(docker={"acceptRootOnHost": True, **docker}).docker)


def test_what_is_no_socket_is_refused_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, is_there in {
        tmp_path / "docker.sock": "finds nothing",
        tmp_path / "file": "finds a file, not a socket,",
        tmp_path: "finds a folder, not a socket,",
    }.items():
        with pytest.raises(NotAcceptedError, match=f"{is_there} at {path}"):
            found(host=f"unix://{path}")


def test_a_dead_socket_is_refused_before_the_plugin_sees_it(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    stack = settings(docker={"acceptRootOnHost": True, "host": f"unix://{path}", "socketGroup": 998})
    [problem] = host.preflight(stack, project="ci", stack="test", state={})
    assert (problem.key, problem.code) == ("ci:docker.host", "unreachable")
    assert "systemctl start docker" in problem.instead


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a socket to another group")
def test_the_sockets_group_is_read_from_the_socket(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
        for group in (4242, 4243):
            os.chown(path, 0, group)
            assert found(host=f"unix://{path}").group == group


def test_a_path_without_a_socket_is_told_under_the_setting_that_names_it(tmp_path: Path, port: int) -> None:
    docker = {"socketPath": str(tmp_path / "none")}
    assert refused(tmp_path, port=port, docker=docker) == [("ci:docker.socketPath", "not_found")]


def test_roots_own_group_is_refused_unless_it_is_meant() -> None:
    with pytest.raises(NotAcceptedError, match="root's own group"):
        group_in_container("/var/run/docker.sock", owner=0, group=0)
    assert found(socketGroup=0).group == 0


def test_a_rootless_engines_socket_belongs_to_group_0_in_its_containers() -> None:
    assert group_in_container("/run/user/1000/docker.sock", owner=1000, group=1000) == 0


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a program named ssh in front of the real one; it writes down its arguments and answers from a file."""
    program = script(tmp_path / "bin" / "ssh", f'echo "$@" > {tmp_path}/asked\ncat {tmp_path}/answer')
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    host_socket.over_ssh.cache_clear()
    return tmp_path


def test_over_ssh_the_group_is_read_on_the_engines_host(ssh: Path) -> None:
    (ssh / "answer").write_text("0:961:c1b0\n")
    assert found(host="ssh://deploy@build-1.example.org:2222").group == 961
    asked = (ssh / "asked").read_text()
    assert "-o BatchMode=yes -o ConnectTimeout=" in asked
    assert "-p 2222 -- deploy@build-1.example.org stat -L -c %u:%g:%f /var/run/docker.sock" in asked


def test_over_ssh_a_path_that_is_no_socket_is_refused_with_the_host(ssh: Path) -> None:
    (ssh / "answer").write_text("0:0:81a4\n")
    with pytest.raises(NotAcceptedError, match=r"docker\.sock on build-1\.example\.org"):
        found(host="ssh://deploy@build-1.example.org")


def test_over_ssh_the_platform_is_the_engines_and_an_engine_that_does_not_tell_is_refused(ssh: Path) -> None:
    stack = settings(docker={"acceptRootOnHost": True, "host": "ssh://ci@arm.example.org", "socketGroup": 998})
    (ssh / "answer").write_text("linux/arm64\n")
    assert list(host.preflight(stack, project="ci", stack="test", state={})) == []
    assert host.platform(stack) == "linux/arm64"
    host_socket.over_ssh.cache_clear()
    script(ssh / "bin" / "ssh", "echo 'docker: not found' >&2; exit 127")
    [problem] = host.preflight(stack, project="ci", stack="test", state={})
    assert (problem.key, problem.code) == ("ci:docker.host", "not_found")
    assert "docker version --format" in problem.instead


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a socket to root and another group")
def test_over_ssh_a_path_is_one_word_to_the_hosts_shell(ssh: Path, tmp_path: Path) -> None:
    path = tmp_path / "docker's.sock"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
    os.chown(path, 0, 961)
    # What a host does with the words that ssh hands over.
    script(ssh / "bin" / "ssh", 'while [ "$1" != -- ]; do shift; done\nshift 2\nexec sh -c "$*"')
    assert found(host="ssh://deploy@build-1.example.org", socketPath=str(path)).group == 961
