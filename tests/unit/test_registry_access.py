"""Who may push to the registry, as a real HAProxy does it with the project's rules."""

import base64
from pathlib import Path

import pytest

from components.kubernetes import access
from components.kubernetes.endpoints import PORT
from tests.support import filter as filtering
from tests.support.filter import Filter
from tests.support.proxy_attacks import request, send


def login(user: str, scheme: str = "Basic ") -> str:
    """Give the header with which a user logs in. HAProxy never looks at the password."""
    return f"Authorization: {scheme}{base64.b64encode(f'{user}:x'.encode()).decode()}"


def raw(name_and_password: bytes) -> str:
    return f"Authorization: Basic {base64.b64encode(name_and_password).decode()}"


def rules(entrance: Path, registry: Path) -> str:
    """Give the configuration with sockets in the place of ports."""
    # As many as the settings take.
    pushers: dict[str, tuple[str, ...]] = dict.fromkeys(["ci", *map("user-{}".format, range(198)), "deployer"], ())
    text = access.configuration({**pushers, "limited": ("team-a/*", "site", "x.y/z")}, tls=False)
    text = text.replace(f"bind :{PORT}", f"bind unix@{entrance}")
    return text.replace(access.REGISTRY_ADDRESS, f"unix@{registry}")


running = filtering.fixture(rules)


PULLER = login("pull")
WRITES = ("POST", "PUT", "PATCH", "DELETE", "MADE-UP")


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        *((method, [login(user)]) for user in ("ci", "deployer") for method in ("GET", "HEAD", *WRITES[:4])),
        *((method, [PULLER]) for method in ("GET", "HEAD")),
        # The registry asks these to log in.
        *((method, []) for method in ("GET", "POST")),
        ("PUT", [raw(b"deployer:p\xc3\xa4ss w\xf6rd:")]),
        # A read is the registry's to judge, whatever it is.
        ("GET", ["Authorization: Bearer ci"]),
    ],
)
def test_a_pusher_may_do_everything_and_others_may_read(running: Filter, method: str, headers: list[str]) -> None:
    running.seen.clear()
    assert send(running.socket, request(f"{method} /v2/x/manifests/1", "", *headers)).startswith("HTTP/1.1 200 ")
    assert [line for line, _ in running.seen] == [f"{method} /v2/x/manifests/1"]


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        *((method, [PULLER]) for method in WRITES),
        ("PUT", [PULLER, login("ci")]),
        ("PUT", [login("ci"), PULLER]),
        ("GET", [PULLER, login("ci")]),
        ("PUT", [PULLER, "X-HTTP-Method-Override: GET"]),
        # Another reader could find the other name in each of these.
        ("PUT", [f"{PULLER}, {login('ci').partition(' ')[2]}"]),
        ("PUT", [f"{PULLER} {login('ci').partition(' ')[2]}"]),
        ("PUT", [login("ci", "Basic  ")]),
        ("PUT", [login("ci", "")]),
        ("PUT", [login("CI")]),
        ("PUT", [login("ci ")]),
        ("PUT", [login("pull:ci")]),
        ("PUT", [login("")]),
        ("PUT", ["Authorization: "]),
        ("PUT", [PULLER, "Authorization: "]),
        ("PUT", ["Authorization: ", PULLER]),
        ("PUT", [login("ci", "Bearer ")]),
        ("PUT", [login("ci", "Basic\t")]),
        ("PUT", [f"{login('ci')} {PULLER.rpartition(' ')[2]}"]),
        ("PUT", [f"{login('ci')} x"]),
        ("PUT", [login("ci").replace("=", "")]),
        ("PUT", [f"{login('ci')}="]),
        ("PUT", [login("ci").replace("Basic", "Basic,Basic")]),
        # HAProxy reads a name up to its first NUL.
        *(
            ("PUT", [raw(login_)])
            for login_ in (b"ci\0pull:x", b"ci:x\0", b"ci\0:x", b"ci", b"ci\n:x", b"c\xef\xbd\x89:x")
        ),
    ],
)
def test_a_write_of_anybody_else_does_not_reach_the_registry(running: Filter, method: str, headers: list[str]) -> None:
    running.seen.clear()
    answer = send(running.socket, request(f"{method} /v2/x/manifests/1", "", *headers))
    assert answer.startswith("HTTP/1.1 403 ")
    assert not running.seen


LIMITED = login("limited")
DIGEST = f"sha256:{'a' * 64}"
WRITTEN = ("manifests/1.0", f"manifests/{DIGEST}", f"blobs/{DIGEST}", "blobs/uploads/", "blobs/uploads/aB-1_=")
WITH_QUERIES = (*WRITTEN, f"blobs/uploads/?mount={DIGEST}&from=team-b/x", "blobs/uploads/1?_state=x")


@pytest.mark.parametrize("repository", ["team-a/x", "team-a/x.y/z__1/a--b", "team-a/blobs/uploads", "site", "x.y/z"])
def test_who_has_repositories_may_write_there(running: Filter, repository: str) -> None:
    running.seen.clear()
    lines = [f"{method} /v2/{repository}/{written}" for method in WRITES[:4] for written in WITH_QUERIES]
    assert {send(running.socket, request(line, "", LIMITED))[:13] for line in lines} == {"HTTP/1.1 200 "}
    assert [line for line, _ in running.seen] == lines


OTHERS = ("team-b/x", "team-a", "team-ab/x", "site/x", "sites", "x/site", "xzy/z", "x.y", "team-a/X", "v2/team-a/x")
ELSEWHERE = [
    *(f"/v2/{name}/{written}" for name in OTHERS for written in WRITTEN),
    "/v2/team-a/../team-b/manifests/1",
    "/v2/team-a/x/../../team-b/manifests/1",
    "/v2/team-a/%2e%2e/team-b/manifests/1",
    "/v2/team-a%2f..%2fteam-b/manifests/1",
    "/v2/team-a/./manifests/1",
    "/v2/team-a//x/manifests/1",
    "//v2/team-a/x/manifests/1",
    "/v2/team-a/x/manifests/..",
    "/v2/team-a/x/manifests/../../../team-b/manifests/1",
    "/v2/team-a/x/blobs/uploads/../../../../team-b/manifests/1",
    "/v2/team-a/x/manifests/1/",
    "/v2/team-a/x/manifests/1%00",
    "/v2/team-a/x/manifests/1;/v2/team-b",
    "/v2/site/blobs/uploads/manifests/1",
    "/v2/site/manifests/manifests/1",
    "/v2/team-b/manifests/1?x=/v2/team-a/x/manifests/1",
    "http://registry/v2/team-b/x/manifests/1",
    "/v2/team-a/x",
    "/v2/_catalog",
    "/v2/",
    "/",
    "*",
]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_a_write_elsewhere_does_not_reach_the_registry_and_is_told_why(running: Filter, path: str) -> None:
    running.seen.clear()
    for method in WRITES:
        answer = send(running.socket, request(f"{method} {path}", "", LIMITED))
        assert answer.startswith(("HTTP/1.1 403 ", "HTTP/1.1 400 ")), method
        assert ("this account may not push to this repository" in answer) is answer.startswith("HTTP/1.1 403 ")
    assert not running.seen


def test_who_has_repositories_reads_everywhere_and_its_name_in_another_login_opens_nothing(running: Filter) -> None:
    lines = [f"{method} /v2/team-b/x/manifests/1" for method in ("GET", "HEAD")]
    assert {send(running.socket, request(line, "", LIMITED))[:13] for line in lines} == {"HTTP/1.1 200 "}
    running.seen.clear()
    others = [[raw(b"limited\0:x")], [login("limited ")], [login("pull:limited")], [login("Limited")]]
    for headers in ([PULLER], [PULLER, LIMITED], [LIMITED, PULLER], *others):
        answer = send(running.socket, request("PUT /v2/team-a/x/manifests/1", "", *headers))
        assert answer.startswith("HTTP/1.1 403 "), headers
    assert not running.seen
