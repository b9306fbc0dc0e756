"""What a stack may say of the way to its jobs' engine, and what is answered to what it may not."""

from typing import Any

import pytest

from components.settings.docker import DockerSettings
from tests.support.settings import TCP, TLS_KEY, problems, refused, settings


def test_an_engine_of_its_own_is_one_line_and_privileged_unless_it_says_otherwise() -> None:
    dind = settings(docker={"acceptRootOnHost": True, "access": "dind"}).docker.dind
    assert (dind.image, dind.container_name, dind.memory_mib) == ("docker:28.5.2-dind", "jenkins-docker", 4096)
    assert dind.privileged


WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("a socket for dind", {"access": "dind", "socketGroup": 998}, "ci:docker.socketGroup", "no_effect"),
    ("a section without its access", {"dind": {"memoryMib": 512}}, "ci:docker.dind", "no_effect"),
    (
        "capabilities of a privileged engine",
        {"access": "dind", "dind": {"capabilities": ["SYS_ADMIN"]}},
        "ci:docker.dind.capabilities",
        "no_effect",
    ),
    (
        "confinement of a privileged engine",
        {"access": "dind", "dind": {"securityOptions": ["seccomp=unconfined"]}},
        "ci:docker.dind.securityOptions",
        "no_effect",
    ),
    (
        "Jenkins' own name",
        {"access": "dind", "dind": {"containerName": "jenkins-server"}},
        "ci:docker.dind.containerName",
        "duplicate",
    ),
    (
        "every capability",
        {"access": "dind", "dind": {"privileged": False, "capabilities": ["ALL"]}},
        "ci:docker.dind.capabilities[0]",
        "not_accepted",
    ),
    (
        "a capability by its long name",
        {"access": "dind", "dind": {"privileged": False, "capabilities": ["CAP_SYS_ADMIN"]}},
        "ci:docker.dind.capabilities[0]",
        "not_accepted",
    ),
    (
        "no capability at all",
        {"access": "dind", "dind": {"privileged": False, "capabilities": []}},
        "ci:docker.dind.capabilities",
        "conflict",
    ),
    (
        "an option that is none",
        {"access": "dind", "dind": {"privileged": False, "securityOptions": ["no-new-privileges"]}},
        "ci:docker.dind.securityOptions[0]",
        "not_accepted",
    ),
    (
        "another listener",
        {"access": "dind", "dind": {"options": ["--host=tcp://0.0.0.0:2375"]}},
        "ci:docker.dind.options[0]",
        "not_accepted",
    ),
    (
        "TLS turned off",
        {"access": "dind", "dind": {"options": ["--tlsverify=false"]}},
        "ci:docker.dind.options[0]",
        "not_accepted",
    ),
    (
        "two options in one",
        {"access": "dind", "dind": {"options": ["--debug --mtu=1400"]}},
        "ci:docker.dind.options[0]",
        "not_accepted",
    ),
    (
        "an image that moves",
        {"access": "dind", "dind": {"image": "docker:dind@latest"}},
        "ci:docker.dind.image",
        "not_accepted",
    ),
    ("an unknown access", {"access": "dnd"}, "ci:docker.access", "not_accepted"),
]


@pytest.mark.parametrize(("docker", "key", "code"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_wrong_setting_is_the_one_problem(docker: dict[str, Any], key: str, code: str) -> None:
    assert refused(docker={"acceptRootOnHost": True, **docker}) == [(key, code)]


def test_root_on_the_host_has_to_be_confirmed_for_each_access_with_a_reason_of_its_own() -> None:
    reasons = set()
    accesses = DockerSettings.model_json_schema()["properties"]["access"]["enum"]
    for docker in ({"access": "dind", "dind": {"privileged": False}}, *({"access": access} for access in accesses)):
        more = {"tcp": TCP["tcp"]} if docker["access"] == "tcp" else {}
        key = {"tcpTlsKey": TLS_KEY} if more else {}
        [problem] = problems(docker={**docker, **more}, **key)
        assert (problem.key, problem.code) == ("ci:docker.acceptRootOnHost", "not_confirmed")
        reasons.add(problem.wrong)
    assert len(reasons) == len(accesses) + 1


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

WRONG_TCP: list[tuple[str, dict[str, Any], str, str]] = [
    ("a host without its certificates", {"docker": HOST}, "ci:docker.tls", "required"),
    ("a host's files without their key", {"docker": {**HOST, "tls": FILES}}, "ci:dockerTlsKey", "required"),
    (
        "a host's key twice",
        {"docker": {**HOST, "tls": {**FILES, "keyFile": "key.pem"}}, "dockerTlsKey": TLS_KEY},
        "ci:docker.tls.keyFile",
        "conflict",
    ),
    (
        "certificates for a socket",
        {"docker": {"acceptRootOnHost": True, "tls": {**FILES, "keyFile": "key.pem"}}},
        "ci:docker.tls",
        "no_effect",
    ),
    ("a key without its section", {"dockerTlsKey": TLS_KEY}, "ci:dockerTlsKey", "no_effect"),
    ("tcp without its section", {"docker": {"acceptRootOnHost": True, "access": "tcp"}}, "ci:docker.tcp", "required"),
    ("tcp without its key", {"docker": TCP}, "ci:tcpTlsKey", "required"),
    (
        "its section without tcp",
        {"docker": {**TCP, "access": "socket"}, "tcpTlsKey": TLS_KEY},
        "ci:docker.tcp",
        "no_effect",
    ),
    (
        "tcp without an authority",
        {"docker": {**TCP, "tcp": {"host": "tcp://h:2376", "certificateFile": "c"}}, "tcpTlsKey": TLS_KEY},
        "ci:docker.tcp.caFile",
        "missing",
    ),
    (
        "an engine without TLS",
        {"docker": {**TCP, "tcp": {**FILES, "host": "tcp://builder.example.org:2375"}}, "tcpTlsKey": TLS_KEY},
        "ci:docker.tcp.host",
        "not_accepted",
    ),
    (
        "an engine without a port",
        {"docker": {**TCP, "tcp": {**FILES, "host": "tcp://builder.example.org"}}, "tcpTlsKey": TLS_KEY},
        "ci:docker.tcp.host",
        "not_accepted",
    ),
    (
        "a web address for an engine",
        {"docker": {**TCP, "tcp": {**FILES, "host": "https://builder.example.org:2376"}}, "tcpTlsKey": TLS_KEY},
        "ci:docker.tcp.host",
        "not_accepted",
    ),
    ("a key that is none", {"docker": TCP, "tcpTlsKey": "hunter2"}, "ci:tcpTlsKey", "not_accepted"),
]


@pytest.mark.parametrize(("keys", "key", "code"), [row[1:] for row in WRONG_TCP], ids=[row[0] for row in WRONG_TCP])
def test_what_is_wrong_about_an_engine_on_tcp_is_the_one_problem(keys: dict[str, Any], key: str, code: str) -> None:
    assert refused(**keys) == [(key, code)]


def test_a_key_in_clear_is_refused_and_not_shown() -> None:
    found = problems(secret=("adminPassword",), docker=TCP, tcpTlsKey=TLS_KEY)
    [problem] = found
    assert (problem.key, problem.code) == ("ci:tcpTlsKey", "secret_in_clear")
    assert "no real one" not in str(problem)
