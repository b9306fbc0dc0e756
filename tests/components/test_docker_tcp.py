"""What an engine on TCP registers, for the jobs and as the host: each claim as a preview and as an update."""

import json
from pathlib import Path
from typing import Any

import pytest

from components import docker
from components.settings import Settings
from tests.support.certificates import Authority
from tests.support.engine import Engine, is_secret, unwrap
from tests.support.settings import settings

AUTHORITY = Authority.new()
CLIENT = AUTHORITY.client()
CONTROLLER = "jenkins-controller"
HOST = "tcp://builder.example.org:2376"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Write an authority and a client's certificate; give the settings that name them."""
    (tmp_path / "ca.pem").write_text(AUTHORITY.pem)
    certificate, _ = CLIENT.write(tmp_path, "client")
    return {"caFile": str(tmp_path / "ca.pem"), "certificateFile": str(certificate)}


def for_jobs(files: dict[str, str]) -> Settings:
    tcp = {"host": HOST, **files}
    return settings(docker={"acceptRootOnHost": True, "access": "tcp", "tcp": tcp}, tcpTlsKey=CLIENT.key)


def as_host(files: dict[str, str]) -> Settings:
    return settings(
        docker={"acceptRootOnHost": True, "host": HOST, "tls": files, "socketGroup": 998}, dockerTlsKey=CLIENT.key
    )


def deploy(engine: Engine, stack: Settings) -> dict[str, Any]:
    engine.run(lambda: docker.deploy(stack))
    return engine.inputs[CONTROLLER]


def in_clear(engine: Engine) -> str:
    return json.dumps(
        {name: {k: v for k, v in inputs.items() if not is_secret(v)} for name, inputs in engine.inputs.items()},
        default=str,
    )


def test_jenkins_gets_the_address_and_three_files_and_nothing_else(engine: Engine, files: dict[str, str]) -> None:
    container = deploy(engine, for_jobs(files))
    assert {f"DOCKER_HOST={HOST}", "DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH=/certs/client"} <= set(container["envs"])
    uploads = {entry["file"]: entry["content"] for entry in unwrap(container["uploads"])}
    assert uploads["/certs/client/ca.pem"] == AUTHORITY.pem
    assert uploads["/certs/client/cert.pem"] == CLIENT.certificate
    assert uploads["/certs/client/key.pem"] == CLIENT.key
    assert [entry["containerPath"] for entry in container["volumes"]] == ["/var/jenkins_home"]
    assert not container.get("groupAdds")
    assert not container.get("networksAdvanced")


def test_the_key_is_in_a_secret_and_nowhere_in_clear(engine: Engine, files: dict[str, str]) -> None:
    container = deploy(engine, for_jobs(files))
    assert is_secret(container["uploads"])
    line = CLIENT.key.splitlines()[1]
    assert line not in in_clear(engine)
    assert line not in "".join(container["envs"])


def test_a_host_on_tcp_is_reached_with_all_three_and_never_without_an_authority(
    engine: Engine, files: dict[str, str]
) -> None:
    deploy(engine, as_host(files))
    provider = engine.inputs["host"]
    assert provider["host"] == HOST
    assert provider["caMaterial"] == AUTHORITY.pem
    assert provider["certMaterial"] == CLIENT.certificate
    assert is_secret(provider["keyMaterial"])
    assert unwrap(provider["keyMaterial"]) == CLIENT.key
    assert CLIENT.key.splitlines()[1] not in in_clear(engine)


def test_the_hosts_key_is_not_given_to_jenkins(engine: Engine, files: dict[str, str]) -> None:
    container = deploy(engine, as_host(files))
    assert CLIENT.key.splitlines()[1] not in json.dumps(unwrap(container["uploads"]), default=str)
