"""What is found wrong with certificates, keys and the engine itself, before anything is made by them."""

import contextlib
import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient
from docker.errors import DockerException

from components.docker import host, tls, tls_preflight
from components.settings import Problem, Settings
from lab.pki import Authority, Pair
from offline.plugins.docker.engine import Connection
from ops import engine
from tests.support import tls_server
from tests.support.settings import settings

AUTHORITY, OTHER = Authority.new(), Authority.new("another authority")
SERVER, CLIENT = AUTHORITY.server("127.0.0.1", "localhost"), AUTHORITY.client()


@dataclass
class Case:
    """An engine and a stack that reaches it, both right; each test makes one thing wrong."""

    folder: Path
    ca: str = field(default_factory=lambda: AUTHORITY.pem)
    client: Pair = CLIENT
    key: str | None = None
    """The secret, where it is not the client's."""

    server: Pair | None = SERVER
    clients: str | None = field(default_factory=lambda: AUTHORITY.pem)
    name: str = "127.0.0.1"
    key_mode: int | None = None
    """The mode of the key's file; None for a key in a secret."""

    def stack(self, port: int) -> Settings:
        """Write the files; give the settings."""
        (self.folder / "ca.pem").write_text(self.ca)
        certificate, key_file = self.client.write(self.folder, "client", mode=self.key_mode or 0o600)
        tcp = {
            "host": f"tcp://{self.name}:{port}",
            "caFile": str(self.folder / "ca.pem"),
            "certificateFile": str(certificate),
        }
        docker: dict[str, Any] = {"acceptRootOnHost": True, "access": "tcp", "tcp": tcp}
        if self.key_mode is not None:
            tcp["keyFile"] = str(key_file)
            return settings(docker=docker)
        return settings(docker=docker, tcpTlsKey=self.key or self.client.key)

    def problems(self) -> list[Problem]:
        """Give what is found."""
        with tls_server.serving(self.folder, pair=self.server, clients=self.clients) as port:
            place = tls.jobs(self.stack(port))
            assert place is not None
            return list(tls_preflight.preflight(place))


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """Give a case in which nothing is wrong."""
    return Case(tmp_path)


def test_a_right_engine_with_the_key_as_a_secret_or_as_a_closed_file_has_nothing_in_the_way(case: Case) -> None:
    assert case.problems() == []
    case.key_mode = 0o600
    assert case.problems() == []


@pytest.mark.parametrize("trusted", [True, False])
def test_verbs_and_the_bundled_plugin_take_only_an_engine_of_the_stacks_authority_whatever_else_the_environment_trusts(
    case: Case,
    monkeypatch: pytest.MonkeyPatch,
    trusted: bool,  # noqa: FBT001 - a case of a table
) -> None:
    (case.folder / "others.pem").write_text(OTHER.pem)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(case.folder / "others.pem"))
    server = SERVER if trusted else OTHER.server("127.0.0.1")
    with tls_server.serving(case.folder, pair=server, clients=AUTHORITY.pem) as port:
        tcp = case.stack(port).docker.tcp
        assert tcp is not None
        files = tcp.model_dump(by_alias=True, include={"ca_file", "certificate_file"})
        docker = {"acceptRootOnHost": True, "host": tcp.host, "tls": files}
        wanted = settings(docker=docker, dockerTlsKey=CLIENT.key)
        with contextlib.nullcontext() if trusted else pytest.raises(DockerException, match="CERTIFICATE_VERIFY_FAILED"):
            engine.client(wanted).close()
        plugins = Connection(tcp.host, ca=AUTHORITY.pem, cert=CLIENT.certificate, key=CLIENT.key).tls() or False
        with contextlib.nullcontext() if trusted else pytest.raises(DockerException, match="CERTIFICATE_VERIFY_FAILED"):
            DockerClient(base_url=tcp.host, tls=plugins).close()


def test_an_engine_by_name_is_right_where_its_certificate_has_the_name(case: Case) -> None:
    case.name = "localhost"
    assert case.problems() == []


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
def test_what_is_wrong_is_the_one_problem(case: Case, change: dict[str, Any], key: str, code: str) -> None:
    found = dataclasses.replace(case, **change).problems()
    assert [(problem.key, problem.code) for problem in found] == [(f"ci:{key}", code)]


def test_no_message_shows_a_key(case: Case) -> None:
    case.key = AUTHORITY.client().key
    text = str(case.problems()[0])
    assert "PRIVATE" not in text
    assert not set(case.key.splitlines()[1:-1]) & set(text.split())


def test_a_key_that_is_none_and_a_file_that_is_not_there_are_told_together(case: Case) -> None:
    stack = case.stack(1)
    place = tls.jobs(stack)
    assert place is not None
    (case.folder / "ca.pem").unlink()
    found = [(problem.key, problem.code) for problem in tls_preflight.preflight(place)]
    assert found == [("ci:docker.tcp.caFile", "bad_file")]


def test_an_engine_that_nobody_answers_for_is_in_the_way_unless_only_jenkins_host_may_reach_it(case: Case) -> None:
    with tls_server.serving(case.folder, pair=SERVER, clients=None) as port:
        pass  # free again, and nobody's
    place = tls.jobs(case.stack(port))
    assert place is not None
    [problem] = tls_preflight.preflight(place)
    assert (problem.key, problem.code) == ("ci:docker.tcp.host", "unreachable")
    assert "connection refused" in problem.wrong
    assert list(tls_preflight.preflight(place, must_answer=False)) == []


@pytest.mark.parametrize(
    ("key", "group", "problem"),
    [
        (OTHER.client().key, 998, ("ci:dockerTlsKey", "bad_certificate")),
        (CLIENT.key, None, ("ci:docker.host", "required")),
    ],
    ids=["another certificate's key", "no group"],
)
def test_the_hosts_own_certificates_are_looked_at_and_its_sockets_group_has_to_be_told(
    case: Case, key: str, group: int | None, problem: tuple[str, str]
) -> None:
    with tls_server.serving(case.folder, pair=SERVER, clients=AUTHORITY.pem) as port:
        case.stack(port)
        files = {"caFile": str(case.folder / "ca.pem"), "certificateFile": str(case.folder / "client.crt")}
        host_of = {"acceptRootOnHost": True, "host": f"tcp://127.0.0.1:{port}", "tls": files, "socketGroup": group}
        stack = settings(docker=host_of, dockerTlsKey=key)
        found = [(each.key, each.code) for each in host.preflight(stack, project="ci", stack="test")]
    assert found == [problem]
