"""What is found wrong with certificates, keys and the engine itself, before anything is made by them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from components.docker import host, tls, tls_preflight
from components.settings import Settings
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

    def problems(self) -> list[str]:
        """Give what is found."""
        with tls_server.serving(self.folder, pair=self.server, clients=self.clients) as port:
            place = tls.jobs(self.stack(port))
            assert place is not None
            return [str(problem) for problem in tls_preflight.preflight(place)]


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


WRONG: list[tuple[str, Callable[[Case], None], str]] = [
    ("another authority", lambda case: setattr(case, "ca", OTHER.pem), "ci:docker.tcp.caFile = "),
    (
        "an authority whose time is over",
        lambda case: setattr(case, "ca", Authority.new(days=-1).pem),
        "give one that is valid now",
    ),
    ("no authority at all", lambda case: setattr(case, "ca", "hello"), "caFile"),
    (
        "a certificate whose time is over",
        lambda case: setattr(case, "client", AUTHORITY.client(days=-1)),
        "ci:docker.tcp.certificateFile = ",
    ),
    (
        "a certificate of another authority",
        lambda case: setattr(case, "client", OTHER.client()),
        "give one that the engine's own --tlscacert has signed",
    ),
    (
        "a server's certificate",
        lambda case: setattr(case, "client", AUTHORITY.server("jenkins")),
        "for clients (extendedKeyUsage clientAuth)",
    ),
    (
        "another certificate's key",
        lambda case: setattr(case, "key", AUTHORITY.client().key),
        "ci:tcpTlsKey is not the key of the first certificate in",
    ),
    (
        "a key file that others can read",
        lambda case: setattr(case, "key_mode", 0o644),
        "can be read by others (mode 0644)",
    ),
    ("a key file that the group can read", lambda case: setattr(case, "key_mode", 0o640), "(mode 0640)"),
    (
        "an engine by another name",
        lambda case: setattr(case, "server", AUTHORITY.server("other.example.org")),
        "shows a certificate that does not fit",
    ),
    (
        "an engine whose certificate's time is over",
        lambda case: setattr(case, "server", AUTHORITY.server("127.0.0.1", days=-1)),
        "shows a certificate that does not fit (certificate has expired)",
    ),
    ("an engine without TLS", lambda case: setattr(case, "server", None), "speaks no TLS that is taken here"),
    (
        "an engine that takes anybody",
        lambda case: setattr(case, "clients", None),
        "answers without asking for a certificate, so whoever reaches it is root on its host",
    ),
]


@pytest.mark.parametrize(("change", "text"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_is_wrong_is_told_once_with_what_to_give(case: Case, change: Callable[[Case], None], text: str) -> None:
    change(case)
    found = case.problems()
    assert len(found) == 1, found
    assert text in found[0]


def test_no_message_shows_a_key(case: Case) -> None:
    case.key = AUTHORITY.client().key
    [text] = case.problems()
    assert "PRIVATE" not in text
    assert not set(case.key.splitlines()[1:-1]) & set(text.split())


def test_a_key_that_is_none_and_a_file_that_is_not_there_are_told_together(case: Case) -> None:
    stack = case.stack(1)
    place = tls.jobs(stack)
    assert place is not None
    (case.folder / "ca.pem").unlink()
    found = [str(problem) for problem in tls_preflight.preflight(place)]
    assert len(found) == 1
    assert "ci:docker.tcp.caFile" in found[0]
    assert "can't be read (No such file or directory)" in found[0]


def test_an_engine_that_nobody_answers_for_is_in_the_way_unless_only_jenkins_host_may_reach_it(case: Case) -> None:
    with tls_server.serving(case.folder, pair=SERVER, clients=None) as port:
        pass  # free again, and nobody's
    place = tls.jobs(case.stack(port))
    assert place is not None
    [text] = [str(problem) for problem in tls_preflight.preflight(place)]
    assert f'ci:docker.tcp.host = "tcp://127.0.0.1:{port}" does not answer (connection refused)' in text
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
        [text] = [str(problem) for problem in host.preflight(stack, project="ci", stack="test")]
    assert "ci:dockerTlsKey is not the key of the first certificate" in text


def test_a_host_on_tcp_has_to_be_told_its_sockets_group(case: Case) -> None:
    with tls_server.serving(case.folder, pair=SERVER, clients=AUTHORITY.pem) as port:
        case.stack(port)
        files = {"caFile": str(case.folder / "ca.pem"), "certificateFile": str(case.folder / "client.pem")}
        docker = {"acceptRootOnHost": True, "host": f"tcp://127.0.0.1:{port}", "tls": files}
        stack = settings(docker={**docker, "socketGroup": None}, dockerTlsKey=CLIENT.key)
        [text] = [str(problem) for problem in host.preflight(stack, project="ci", stack="test")]
    assert "can't be asked over TCP for the group of /var/run/docker.sock" in text
    assert "socketGroup: 998" in text
