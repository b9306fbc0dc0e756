"""What is found wrong with certificates, keys and the engine itself, before anything is made by them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from components.docker import host, tls, tls_preflight
from components.settings import Problem, Settings
from tests.support import tls_server
from tests.support.certificates import Authority, Pair
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


def test_an_engine_by_name_is_right_where_its_certificate_has_the_name(case: Case) -> None:
    case.name = "localhost"
    assert case.problems() == []


WRONG: list[tuple[str, Callable[[Case], None], str, str]] = [
    ("another authority", lambda case: setattr(case, "ca", OTHER.pem), "ci:docker.tcp.caFile", "bad_certificate"),
    (
        "an authority whose time is over",
        lambda case: setattr(case, "ca", Authority.new(days=-1).pem),
        "ci:docker.tcp.caFile",
        "bad_certificate",
    ),
    ("no authority at all", lambda case: setattr(case, "ca", "hello"), "ci:docker.tcp.caFile", "bad_file"),
    (
        "a certificate whose time is over",
        lambda case: setattr(case, "client", AUTHORITY.client(days=-1)),
        "ci:docker.tcp.certificateFile",
        "bad_certificate",
    ),
    (
        "a certificate of another authority",
        lambda case: setattr(case, "client", OTHER.client()),
        "ci:docker.tcp.certificateFile",
        "bad_certificate",
    ),
    (
        "a server's certificate",
        lambda case: setattr(case, "client", AUTHORITY.server("jenkins")),
        "ci:docker.tcp.certificateFile",
        "bad_certificate",
    ),
    (
        "another certificate's key",
        lambda case: setattr(case, "key", AUTHORITY.client().key),
        "ci:tcpTlsKey",
        "bad_certificate",
    ),
    (
        "a key file that others can read",
        lambda case: setattr(case, "key_mode", 0o644),
        "ci:docker.tcp.keyFile",
        "bad_file",
    ),
    (
        "a key file that the group can read",
        lambda case: setattr(case, "key_mode", 0o640),
        "ci:docker.tcp.keyFile",
        "bad_file",
    ),
    (
        "an engine by another name",
        lambda case: setattr(case, "server", AUTHORITY.server("other.example.org")),
        "ci:docker.tcp.host",
        "bad_certificate",
    ),
    (
        "an engine whose certificate's time is over",
        lambda case: setattr(case, "server", AUTHORITY.server("127.0.0.1", days=-1)),
        "ci:docker.tcp.host",
        "bad_certificate",
    ),
    ("an engine without TLS", lambda case: setattr(case, "server", None), "ci:docker.tcp.host", "unreachable"),
    (
        "an engine that takes anybody",
        lambda case: setattr(case, "clients", None),
        "ci:docker.tcp.host",
        "not_confirmed",
    ),
]


@pytest.mark.parametrize(("change", "key", "code"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_is_wrong_is_the_one_problem(case: Case, change: Callable[[Case], None], key: str, code: str) -> None:
    change(case)
    assert [(problem.key, problem.code) for problem in case.problems()] == [(key, code)]


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


def test_the_hosts_own_certificates_are_looked_at_in_the_same_way(case: Case) -> None:
    with tls_server.serving(case.folder, pair=SERVER, clients=AUTHORITY.pem) as port:
        case.stack(port)
        files = {
            name: str(case.folder / file)
            for name, file in {"caFile": "ca.pem", "certificateFile": "client.pem"}.items()
        }
        stack = settings(
            docker={
                "acceptRootOnHost": True,
                "host": f"tcp://127.0.0.1:{port}",
                "tls": files,
                "socketGroup": 998,
            },
            dockerTlsKey=OTHER.client().key,
        )
        [problem] = host.preflight(stack, project="ci", stack="test")
    assert (problem.key, problem.code) == ("ci:dockerTlsKey", "bad_certificate")


def test_a_host_on_tcp_has_to_be_told_its_sockets_group(case: Case) -> None:
    with tls_server.serving(case.folder, pair=SERVER, clients=AUTHORITY.pem) as port:
        case.stack(port)
        files = {"caFile": str(case.folder / "ca.pem"), "certificateFile": str(case.folder / "client.pem")}
        docker = {"acceptRootOnHost": True, "host": f"tcp://127.0.0.1:{port}", "tls": files}
        stack = settings(docker={**docker, "socketGroup": None}, dockerTlsKey=CLIENT.key)
        [problem] = host.preflight(stack, project="ci", stack="test")
    assert (problem.key, problem.code) == ("ci:docker.host", "required")
    assert "socketGroup: 998" in problem.instead
