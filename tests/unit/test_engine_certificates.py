"""What is found wrong with certificates, keys and the engine itself, before anything is made by them."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from docker.errors import DockerException

from components.docker import host, tls, tls_preflight
from components.settings import Problem, Settings
from lab.pki import Authority, Pair
from offline.plugins.docker.engine import TLS, Engine
from offline.plugins.rpc import PluginError
from ops import engine
from tests.support import tls_server
from tests.support.settings import settings

AUTHORITY, OTHER = Authority.new(), Authority.new("another authority")
SERVER, CLIENT = AUTHORITY.server("127.0.0.1", "localhost"), AUTHORITY.client()


def stack(  # noqa: PLR0913 - each test makes one thing wrong
    folder: Path,
    port: int,
    *,
    ca: str = AUTHORITY.pem,
    client: Pair = CLIENT,
    key: str = "",
    name: str = "127.0.0.1",
    key_mode: int | None = None,
) -> Settings:
    """Write the files of a stack that reaches an engine; give its settings.

    key: the secret, where it is not the client's.
    key_mode: the mode of the key's file; None for a key in a secret.
    """
    (folder / "ca.pem").write_text(ca)
    certificate, key_file = client.write(folder, "client", mode=key_mode or 0o600)
    tcp = {"host": f"tcp://{name}:{port}", "caFile": str(folder / "ca.pem"), "certificateFile": str(certificate)}
    docker: dict[str, Any] = {"acceptRootOnHost": True, "access": "tcp", "tcp": tcp}
    if key_mode is None:
        return settings(docker=docker, tcpTlsKey=key or client.key)
    tcp["keyFile"] = str(key_file)
    return settings(docker=docker)


def look(stack: Settings, **keys: Any) -> list[Problem]:
    place = tls.jobs(stack)
    assert place is not None
    return list(tls_preflight.preflight(place, **keys))


def problems(
    folder: Path, *, server: Pair | None = SERVER, clients: str | None = AUTHORITY.pem, **keys: Any
) -> list[Problem]:
    """Give what is found about an engine and a stack that reaches it. Both are right by default."""
    with tls_server.serving(folder, pair=server, clients=clients) as port:
        return look(stack(folder, port, **keys))


@pytest.mark.parametrize("keys", [{}, {"key_mode": 0o600}, {"name": "localhost"}], ids=str)
def test_a_right_engine_with_the_key_as_a_secret_or_as_a_closed_file_has_nothing_in_the_way(
    tmp_path: Path, keys: dict[str, Any]
) -> None:
    assert problems(tmp_path, **keys) == []


@pytest.mark.parametrize("trusted", [True, False])
def test_verbs_and_the_bundled_plugin_take_only_an_engine_of_the_stacks_authority_whatever_else_the_environment_trusts(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trusted: bool,  # noqa: FBT001 - a case of a table
) -> None:
    (tmp_path / "others.pem").write_text(OTHER.pem)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "others.pem"))
    server = SERVER if trusted else OTHER.server("127.0.0.1")
    with tls_server.serving(tmp_path, pair=server, clients=AUTHORITY.pem) as port:
        tcp = stack(tmp_path, port).docker.tcp
        assert tcp is not None
        files = tcp.model_dump(by_alias=True, include={"ca_file", "certificate_file"})
        docker = {"acceptRootOnHost": True, "host": tcp.host, "tls": files}
        wanted = settings(docker=docker, dockerTlsKey=CLIENT.key)
        with contextlib.nullcontext() if trusted else pytest.raises(DockerException, match="CERTIFICATE_VERIFY_FAILED"):
            engine.client(wanted).close()
        texts = zip(TLS, (AUTHORITY.pem, CLIENT.certificate, CLIENT.key), strict=True)
        with contextlib.nullcontext() if trusted else pytest.raises(PluginError, match="no Docker engine answers"):
            Engine().configure({"host": tcp.host, **dict(texts)})


WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("another authority", {"ca": OTHER.pem}, "docker.tcp.caFile", "bad_certificate"),
    ("an authority whose time is over", {"ca": Authority.new(days=-1).pem}, "docker.tcp.caFile", "bad_certificate"),
    ("an engine that signed its own certificate", {"server": OTHER.itself()}, "docker.tcp.caFile", "bad_certificate"),
    ("no authority at all", {"ca": "hello"}, "docker.tcp.caFile", "bad_file"),
    ("a late certificate", {"client": AUTHORITY.client(days=-1)}, "docker.tcp.certificateFile", "bad_certificate"),
    ("another's certificate", {"client": OTHER.client()}, "docker.tcp.certificateFile", "bad_certificate"),
    ("a server's", {"client": AUTHORITY.server("jenkins")}, "docker.tcp.certificateFile", "bad_certificate"),
    ("another certificate's key", {"key": AUTHORITY.client().key}, "tcpTlsKey", "bad_certificate"),
    ("a key file that others can read", {"key_mode": 0o644}, "docker.tcp.keyFile", "bad_file"),
    ("a key file that the group can read", {"key_mode": 0o640}, "docker.tcp.keyFile", "bad_file"),
    ("an engine by another name", {"server": AUTHORITY.server("other")}, "docker.tcp.host", "bad_certificate"),
    ("a late engine", {"server": AUTHORITY.server("127.0.0.1", days=-1)}, "docker.tcp.host", "bad_certificate"),
    ("an engine without TLS", {"server": None}, "docker.tcp.host", "unreachable"),
    ("an engine that takes anybody", {"clients": None}, "docker.tcp.host", "not_confirmed"),
]
"""What is wrong, the change of a right case, and the problem's key without `ci:`, and its code."""


@pytest.mark.parametrize(("change", "key", "code"), [pytest.param(*row[1:], id=row[0]) for row in WRONG])
def test_what_is_wrong_is_the_one_problem(tmp_path: Path, change: dict[str, Any], key: str, code: str) -> None:
    found = problems(tmp_path, **change)
    assert [(problem.key, problem.code) for problem in found] == [(f"ci:{key}", code)]


def test_the_command_for_a_key_that_others_can_read_takes_a_path_with_a_space(tmp_path: Path) -> None:
    (folder := tmp_path / "my keys").mkdir()
    [problem] = problems(folder, key_mode=0o644)
    assert f"chmod 600 '{folder}/" in problem.instead


def test_no_message_shows_a_key(tmp_path: Path) -> None:
    key = AUTHORITY.client().key
    text = str(problems(tmp_path, key=key)[0])
    assert "PRIVATE" not in text
    assert not set(key.splitlines()[1:-1]) & set(text.split())


def test_an_engine_that_nobody_answers_for_is_in_the_way_unless_only_jenkins_host_may_reach_it(tmp_path: Path) -> None:
    with tls_server.serving(tmp_path, pair=SERVER, clients=None) as port:
        pass  # free again, and nobody's
    made = stack(tmp_path, port)
    [problem] = look(made)
    assert (problem.key, problem.code) == ("ci:docker.tcp.host", "unreachable")
    assert "connection refused" in problem.wrong
    assert look(made, must_answer=False) == []
    # Nor is it asked where a file is not there.
    (tmp_path / "ca.pem").unlink()
    assert [(problem.key, problem.code) for problem in look(made)] == [("ci:docker.tcp.caFile", "bad_file")]


@pytest.mark.parametrize(
    ("key", "group", "problem"),
    [
        (OTHER.client().key, 998, ("ci:dockerTlsKey", "bad_certificate")),
        (CLIENT.key, None, ("ci:docker.host", "required")),
    ],
    ids=["another certificate's key", "no group"],
)
def test_the_hosts_own_certificates_are_looked_at_and_its_sockets_group_has_to_be_told(
    tmp_path: Path, key: str, group: int | None, problem: tuple[str, str]
) -> None:
    with tls_server.serving(tmp_path, pair=SERVER, clients=AUTHORITY.pem) as port:
        stack(tmp_path, port)
        files = {"caFile": str(tmp_path / "ca.pem"), "certificateFile": str(tmp_path / "client.crt")}
        host_of = {"acceptRootOnHost": True, "host": f"tcp://127.0.0.1:{port}", "tls": files, "socketGroup": group}
        found = list(host.preflight(settings(docker=host_of, dockerTlsKey=key), project="ci", stack="test", state={}))
    assert [(each.key, each.code) for each in found] == [problem]
