"""What a stack may say of the way to its jobs' engine, and what is answered to what it may not."""

from typing import Any

import pytest

from components.settings.model import DockerSettings
from tests.support.settings import TCP, TLS_KEY, problems, settings


def said(**docker: Any) -> str:
    found = problems(docker={"acceptRootOnHost": True, **docker})
    assert len(found) == 1, found
    return str(found[0])


def test_an_engine_of_its_own_is_one_line_and_privileged_unless_it_says_otherwise() -> None:
    dind = settings(docker={"acceptRootOnHost": True, "access": "dind"}).docker.dind
    assert (dind.image, dind.container_name, dind.memory_mib) == ("docker:28.5.2-dind", "jenkins-docker", 4096)
    assert dind.privileged


@pytest.mark.parametrize(
    ("docker", "why"),
    [
        ({}, "whoever can use the engine's socket is root on its host (CIS Docker Benchmark 5.32)"),
        ({"access": "dind"}, "the engine beside Jenkins is privileged"),
        (
            {"access": "dind", "dind": {"privileged": False}},
            "needs SYS_ADMIN, with which whoever can use it breaks out",
        ),
    ],
    ids=["socket", "dind", "dind without privileges"],
)
def test_root_on_the_host_has_to_be_accepted_for_each_access_with_its_own_reason(docker: Any, why: str) -> None:
    [problem] = problems(docker=docker)
    assert problem.key == "ci:docker.acceptRootOnHost"
    assert why in problem.wrong
    assert "acceptRootOnHost: true" in problem.instead


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("a socket for dind", {"access": "dind", "socketGroup": 998}, "ci:docker.socketGroup is for access: socket"),
    ("a section without its access", {"dind": {"memoryMib": 512}}, "ci:docker.dind is for access: dind"),
    (
        "capabilities of a privileged engine",
        {"access": "dind", "dind": {"capabilities": ["SYS_ADMIN"]}},
        "write privileged: false",
    ),
    (
        "confinement of a privileged engine",
        {"access": "dind", "dind": {"securityOptions": ["seccomp=unconfined"]}},
        "ci:docker.dind.securityOptions has no effect",
    ),
    (
        "Jenkins' own name",
        {"access": "dind", "dind": {"containerName": "jenkins-server"}},
        "is ci:jenkins.containerName too",
    ),
    (
        "every capability",
        {"access": "dind", "dind": {"privileged": False, "capabilities": ["ALL"]}},
        "which privileged: true means",
    ),
    (
        "a capability by its long name",
        {"access": "dind", "dind": {"privileged": False, "capabilities": ["CAP_SYS_ADMIN"]}},
        "by its name without CAP_",
    ),
    (
        "no capability at all",
        {"access": "dind", "dind": {"privileged": False, "capabilities": []}},
        "lacks SYS_ADMIN",
    ),
    (
        "an option that is none",
        {"access": "dind", "dind": {"privileged": False, "securityOptions": ["no-new-privileges"]}},
        "give seccomp=unconfined",
    ),
    ("another listener", {"access": "dind", "dind": {"options": ["--host=tcp://0.0.0.0:2375"]}}, "listens for Jenkins"),
    ("TLS turned off", {"access": "dind", "dind": {"options": ["--tlsverify=false"]}}, "listens for Jenkins alone"),
    ("two options in one", {"access": "dind", "dind": {"options": ["--debug --mtu=1400"]}}, "is not one option"),
    ("an image that moves", {"access": "dind", "dind": {"image": "docker:dind@latest"}}, "has the digest 'latest'"),
    ("an unknown access", {"access": "dnd"}, "(did you mean dind?)"),
]


@pytest.mark.parametrize(("docker", "text"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_wrong_setting_is_refused_with_what_to_write(docker: dict[str, Any], text: str) -> None:
    assert text in said(**docker)


def test_every_access_has_its_reason_to_be_accepted() -> None:
    for access in DockerSettings.model_json_schema()["properties"]["access"]["enum"]:
        more = {"tcp": TCP["tcp"]} if access == "tcp" else {}
        [problem] = problems(docker={"access": access, **more}, **({"tcpTlsKey": TLS_KEY} if access == "tcp" else {}))
        assert problem.key == "ci:docker.acceptRootOnHost"


def test_an_engine_elsewhere_is_an_address_two_files_and_a_secret() -> None:
    stack = settings(docker=TCP, tcpTlsKey=TLS_KEY)
    assert stack.docker.tcp is not None
    assert stack.docker.tcp.host == "tcp://builder.example.org:2376"
    assert stack.tcp_tls_key is not None


def test_the_host_itself_may_be_on_tcp_with_certificates_of_its_own() -> None:
    files = {"caFile": "ca.pem", "certificateFile": "cert.pem", "keyFile": "key.pem"}
    docker = {"acceptRootOnHost": True, "host": "tcp://[fd00::7]:2376", "tls": files, "socketGroup": 998}
    assert settings(docker=docker).docker.tls is not None


HOST = {"acceptRootOnHost": True, "host": "tcp://builder.example.org:2376", "socketGroup": 998}
FILES = {"caFile": "ca.pem", "certificateFile": "cert.pem"}

WRONG_TCP: list[tuple[str, dict[str, Any], str]] = [
    ("a host without its certificates", {"docker": HOST}, "ci:docker.tls is missing"),
    ("a host's files without their key", {"docker": {**HOST, "tls": FILES}}, "ci:dockerTlsKey is missing"),
    (
        "a host's key twice",
        {"docker": {**HOST, "tls": {**FILES, "keyFile": "key.pem"}}, "dockerTlsKey": TLS_KEY},
        "ci:docker.tls.keyFile stands beside the secret",
    ),
    (
        "certificates for a socket",
        {"docker": {"acceptRootOnHost": True, "tls": {**FILES, "keyFile": "key.pem"}}},
        "has no effect on unix:///var/run/docker.sock",
    ),
    ("a key without its section", {"dockerTlsKey": TLS_KEY}, "ci:docker.tls is missing, and ci:dockerTlsKey"),
    ("tcp without its section", {"docker": {"acceptRootOnHost": True, "access": "tcp"}}, "ci:docker.tcp is missing"),
    ("tcp without its key", {"docker": TCP}, "ci:tcpTlsKey is missing, and so is a keyFile"),
    ("its section without tcp", {"docker": {**TCP, "access": "socket"}, "tcpTlsKey": TLS_KEY}, "is for access: tcp"),
    (
        "tcp without an authority",
        {"docker": {**TCP, "tcp": {"host": "tcp://h:2376", "certificateFile": "c"}}, "tcpTlsKey": TLS_KEY},
        "ci:docker.tcp.caFile is missing",
    ),
    (
        "an engine without TLS",
        {"docker": {**TCP, "tcp": {**FILES, "host": "tcp://builder.example.org:2375"}}, "tcpTlsKey": TLS_KEY},
        "gives root to anyone",
    ),
    (
        "an engine without a port",
        {"docker": {**TCP, "tcp": {**FILES, "host": "tcp://builder.example.org"}}, "tcpTlsKey": TLS_KEY},
        "for example tcp://builder.example.org:2376",
    ),
    (
        "a web address for an engine",
        {"docker": {**TCP, "tcp": {**FILES, "host": "https://builder.example.org:2376"}}, "tcpTlsKey": TLS_KEY},
        "is not the address of an engine on TCP",
    ),
    ("a key that is none", {"docker": TCP, "tcpTlsKey": "hunter2"}, "ci:tcpTlsKey"),
]


@pytest.mark.parametrize(("keys", "text"), [row[1:] for row in WRONG_TCP], ids=[row[0] for row in WRONG_TCP])
def test_what_is_wrong_about_an_engine_on_tcp_is_refused_with_what_to_write(keys: dict[str, Any], text: str) -> None:
    found = problems(**keys)
    assert len(found) == 1, found
    assert text in str(found[0])


def test_a_key_in_clear_is_refused_and_not_shown() -> None:
    found = problems(secret=("adminPassword",), docker=TCP, tcpTlsKey=TLS_KEY)
    [problem] = found
    assert problem.key == "ci:tcpTlsKey"
    assert "in clear" in problem.wrong
    assert "no real one" not in str(problem)
