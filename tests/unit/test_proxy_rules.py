"""What the proxy lets through and what not, as a real HAProxy does it with the project's rules."""

import contextlib
import copy
import json
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from components import labels
from components.proxy import haproxy
from tests.support import filter as filtering
from tests.support.filter import ID, NAME
from tests.support.proxy_attacks import CANARY, SMUGGLED, V, attacks, created, evil, is_the_proxys, request, send
from tests.support.waiting import eventually

RECORDED = json.loads(Path(__file__).parents[1].joinpath("support/pipeline_requests.json").read_text())
"""What clients send for the commands of a pipeline, taken off their sockets. Of the bodies of `docker run`, the first
of each client is whole, and the others are what differs from it."""

_TEXT = Path(__file__).with_name("proxy_allowed.yaml").read_text()
ALLOWED = yaml.safe_load(Template(_TEXT).substitute(ID=ID))


running = filtering.fixture()


@pytest.fixture
def proxy(running: filtering.Filter) -> filtering.Filter:
    """Give the filter before an engine that has seen nothing yet."""
    running.seen.clear()
    return running


def recorded() -> list[tuple[str, str]]:
    """Give each recorded request's line and body."""
    found, whole = list[tuple[str, str]](), dict[str, Any]()
    for entry in RECORDED:
        body = entry.get("body")
        if body and "/containers/create" in entry["line"]:
            whole.setdefault(entry["client"], body)
        if changes := entry.get("changes"):
            body = copy.deepcopy(whole[entry["client"]])
            body["HostConfig"] |= changes.pop("HostConfig", {})
            body |= changes
        found.append((entry["line"].replace("{id}", ID), json.dumps(body).replace("{id}", ID) if body else ""))
    return found


def refusal(proxy: filtering.Filter, raw: bytes) -> str:
    """Send what is refused; give the words."""
    proxy.seen.clear()
    answer = send(proxy.socket, raw)
    assert is_the_proxys(answer), answer
    assert proxy.seen == []
    return str(json.loads(answer.partition("\r\n\r\n")[2])["message"]).removeprefix(haproxy.REFUSED)


def passes(proxy: filtering.Filter, raw: bytes) -> bool:
    """Say whether a request reaches the engine with its body as it was sent."""
    proxy.seen.clear()
    answer = send(proxy.socket, raw)
    head, _, body = raw.partition(b"\r\n\r\n")
    return "x-engine" in answer.lower() and proxy.seen == [(head.decode().partition(" HTTP/")[0], body)]


def test_no_attack_reaches_the_engine(proxy: filtering.Filter) -> None:
    every = attacks()
    with ThreadPoolExecutor(32) as pool:  # some wait for a body that does not come
        answers = list(pool.map(lambda raw: send(proxy.socket, raw, "\r\n\r\n"), every))
    assert proxy.seen == []
    assert [kind for kind, answer in zip(every.values(), answers, strict=True) if not is_the_proxys(answer)] == []
    assert len(every) > 4000


def test_everything_that_clients_send_for_a_pipeline_passes(proxy: filtering.Filter) -> None:
    assert [(line, body) for line, body in recorded() if not passes(proxy, request(line, body))] == []


def places(value: Any) -> Iterator[dict[str, Any]]:
    """Give every object of a body that is a structure to the engine, not a map with keys of the user's own."""
    if isinstance(value, dict):
        yield value
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        if key not in ("Labels", "Tmpfs", "Sysctls", "ExposedPorts", "Volumes", "PortBindings", "EndpointsConfig"):
            yield from places(inner)


def test_a_field_that_nobody_thought_of_is_refused_wherever_it_stands(proxy: filtering.Filter) -> None:
    tried = 0
    for line, text in recorded():
        if re.search(r"/(?:(?:create|connect|disconnect)\b|containers/.*/exec$)", line) and text:
            for index, _ in enumerate(places(json.loads(text))):
                body = json.loads(text)
                list(places(body))[index]["AFieldOfTomorrow"] = 1
                assert "AFieldOfTomorrow" in refusal(proxy, request(line, json.dumps(body)))
                tried += 1
    assert tried > 100


@pytest.mark.parametrize("host", ALLOWED["host"], ids=json.dumps)
def test_what_makes_a_container_no_more_than_it_is_passes(proxy: filtering.Filter, host: dict[str, Any]) -> None:
    assert passes(proxy, created(evil(**host)))


@pytest.mark.parametrize("line", ALLOWED["bodies"])
def test_a_body_that_a_client_may_send_passes(proxy: filtering.Filter, line: str) -> None:
    for body in ALLOWED["bodies"][line]:
        assert passes(proxy, request(f"POST {V}{line}", json.dumps(body)))
    assert ALLOWED["bodies"][line]


def test_only_the_headers_that_clients_need_reach_the_engine(proxy: filtering.Filter) -> None:
    """An engine may do more for a header than this project knows of."""
    needed = {"x-registry-auth", "x-registry-config", "user-agent", "accept"}
    others = "x-http-method-override http2-settings traceparent x-forwarded-for forwarded authorization cookie range "
    others += "content-encoding x-original-url a-header-of-tomorrow"
    sent = [f"{name}: e30=" for name in (*needed, *others.split())]
    assert passes(proxy, request(f"POST {V}/build?t=app", "", *sent))
    assert {name for name, value in proxy.headers.items() if value == "e30="} == needed
    assert set(proxy.headers) <= {*needed, "host", "connection", "content-length", "content-type"}


@pytest.mark.parametrize(
    "kind", ["application/x-tar", "application/tar", "Application/JSON; charset=utf-8", "text/plain"]
)
def test_the_kinds_of_bodies_that_clients_name_pass(proxy: filtering.Filter, kind: str) -> None:
    """Docker's client names the first for an archive, docker-py the second."""
    assert passes(proxy, request(f"POST {V}/build?t=app", "", f"Content-Type: {kind}"))


@pytest.mark.parametrize("upgrade", ["h2c", "tcp, h2c", "h2c, tcp"])
def test_no_connection_is_taken_over_by_http_2(proxy: filtering.Filter, upgrade: str) -> None:
    """HAProxy itself takes the word away: an engine that knew it would read calls that nobody judges."""
    for line in (f"GET {V}/info", f"POST {V}/containers/db/attach"):
        proxy.headers = {}
        send(proxy.socket, request(line, "", "Connection: Upgrade, HTTP2-Settings", f"Upgrade: {upgrade}"))
        assert "h2" not in str(proxy.headers)


UNTIL = "%22until%22%3A%7B%22168h%22%3Atrue%7D%7D"
KEPT = "%7B%22label%21%22%3A%7B%22pulumi-container-ci%2Fproject%22%3Atrue%7D"
DANGLING = f"%7B%22dangling%22%3A%7B%22true%22%3Atrue%7D%2C{UNTIL}"
CACHE = "&keep-storage=21474836480"
RESERVED = "&reserved-space=21474836480"


@pytest.mark.parametrize(
    ("what", "query", "others"),
    [
        ("containers", f"filters={KEPT}%2C{UNTIL}", ["", f"filters=%7B{UNTIL}", f"filters%3D{KEPT}%2C{UNTIL}"]),
        ("images", f"filters={DANGLING}", ["filters=", f"filters=%7B{UNTIL}", f"filters={DANGLING}&all=1"]),
        ("build", f"filters=%7B{UNTIL}{CACHE}", [f"filters=%7B{UNTIL}", CACHE, f"all=1&filters=%7B{UNTIL}{CACHE}"]),
        ("build", f"filters=%7B{UNTIL}{CACHE}{RESERVED}", [f"filters=%7B{UNTIL}{CACHE}&reserved-space=0"]),
        ("build", f"filters=%7B{UNTIL}{RESERVED}", [f"filters=%7B{UNTIL}&reserved-space=0", RESERVED]),
    ],
)
def test_what_the_docker_client_of_the_pruner_sends_passes_and_no_other_prune_does(
    proxy: filtering.Filter, what: str, query: str, others: list[str]
) -> None:
    assert passes(proxy, request(f"POST /v1.41/{what}/prune?{query}"))
    for other in [*others, query.replace("168h", "1h"), query.replace("true", "false")]:
        refusal(proxy, request(f"POST /v1.41/{what}/prune?{other}"))
    refusal(proxy, request(f"POST /v1.41/volumes/prune?{query}"))


def test_a_strings_text_is_free_however_it_is_encoded(proxy: filtering.Filter) -> None:
    texts = ['{"Privileged": true}', "<>&'+=", "\u00fc\u001b\u2028\U0001f600", "\\", '"Privileged', f"{NAME}:1"]
    body = {"Image": "a", "Env": [f"A={text}" for text in texts], "Labels": {text: text for text in [*texts, "host"]}}
    assert passes(proxy, created(json.dumps(body)))
    assert passes(proxy, created(json.dumps(body, ensure_ascii=False)))
    assert passes(proxy, created(re.sub("['+=<>&]", lambda sign: f"\\u00{ord(sign[0]):02x}", json.dumps(body))))


def test_a_body_may_be_as_long_as_it_is_said(proxy: filtering.Filter) -> None:
    def long(size: int) -> bytes:
        return created(evil().replace("}}", "}" + " " * (size - len(evil())) + "}"))

    assert passes(proxy, long(haproxy.LONGEST_BYTES))
    assert "longer than 262144 bytes" in refusal(proxy, long(haproxy.LONGEST_BYTES + 1))


@pytest.mark.parametrize("line", ALLOWED["lines"])
def test_a_call_that_harms_nothing_passes(proxy: filtering.Filter, line: str) -> None:
    assert passes(proxy, request(line.replace(" /", f" {V}/", 1)))
    assert passes(proxy, request(line.replace(" /", " /v1.51/", 1)))


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ({"Privileged": True}, "HostConfig.Privileged = true; accepted: false"),
        ({"CapAdd": ["CHOWN", "SYS_ADMIN"]}, 'HostConfig.CapAdd[1] = "SYS_ADMIN"; accepted: the capabilities'),
        ({"Binds": ["/:/h"]}, 'HostConfig.Binds[0] = "/:/h"; accepted: NAME:/PATH of a volume'),
        ({"Nobody": 1}, "HostConfig.Nobody is not a field that a Docker pipeline needs"),
        ({"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}}, "not one that the stack listens at"),
        ("/build?networkmode=host", 'networkmode= = "host"; accepted: default, bridge'),
        ("/build?t=haproxy", "accepted: an image that this CI is not deployed from"),
        ({"Tmpfs": {"/x": "rw,remount"}}, "nr_blocks=10k, each at most once"),
        ({"Tmpfs": {"/sys/.": ""}}, 'HostConfig.Tmpfs = "/sys/."; accepted: an absolute path such as /cache'),
        ({"Binds": ["v:/c:Z"]}, 'HostConfig.Binds[0]\'s mode = "Z"; accepted: rw, ro, z, nocopy'),
        ({"Ulimits": [None]}, "HostConfig.Ulimits[0] = null; accepted: no null in a list"),
        ("/containers/db/stop?t=601", 't= = "601"; accepted: 0 to 600 seconds'),
        ("/build?labels=x", "labels= is not JSON, at byte 1"),
        ("/session", "DOCKER_BUILDKIT=0 builds without it"),
        ("/volumes/prune", "a Docker pipeline does not need POST /volumes/prune"),
    ],
)
def test_a_refusal_names_the_field_its_value_and_what_is_taken(
    proxy: filtering.Filter, what: str | dict[str, Any], words: str
) -> None:
    raw = request(f"POST {V}{what}") if isinstance(what, str) else created(evil(**what))
    assert words in refusal(proxy, raw)


@pytest.mark.parametrize("kind", ["services", "plugins", "secrets"])
def test_a_search_for_a_name_is_answered_as_by_an_engine_that_has_none(proxy: filtering.Filter, kind: str) -> None:
    assert send(proxy.socket, request(f"GET {V}/{kind}/app:1")).startswith("HTTP/1.1 404 ")
    assert send(proxy.socket, request(f"GET {V}/{kind}")).startswith("HTTP/1.1 403 ")


def test_a_request_behind_another_on_one_connection_is_judged_too(proxy: filtering.Filter) -> None:
    known = request(f"GET {V}/info").replace(b"Connection: close\r\n", b"")
    answer = send(proxy.socket, known + SMUGGLED)
    assert answer.count("HTTP/1.1 200 ") == answer.count("HTTP/1.1 403 ") == 1
    assert proxy.seen == [(f"GET {V}/info", b"")]


def test_a_refused_takeover_leaves_nothing_to_write_into(proxy: filtering.Filter) -> None:
    """Were the connection handed over although the engine said no, the next bytes would be a request unjudged."""
    takeover = request(f"POST {V}/exec/{ID}/start", '{"Detach":false}', "Upgrade: tcp").replace(
        b": close", b": Upgrade"
    )
    answer = send(proxy.socket, takeover + SMUGGLED, until="HTTP/1.1 403")
    assert answer.startswith("HTTP/1.1 200 ")
    assert CANARY not in str(proxy.seen)


LASTING = (
    "stop?t=600",
    "restart?t=600",
    "wai%74",
    "start",
    "kill",
    "attach",
    "json",
    "logs?follow=1",
    "archive?path=x",
)
SHORT = "_ping info version images/json images/a/json images/a/history containers/json networks networks/n volumes"


def connect(stack: contextlib.ExitStack, entrance: Path, line: str = "") -> socket.socket:
    """Open a connection until the stack closes, and send a request without waiting for its answer."""
    connection = stack.enter_context(socket.socket(socket.AF_UNIX))
    connection.connect(str(entrance))
    connection.sendall(request(line) if line else b"")
    return connection


def test_calls_that_last_leave_room_for_short_ones_and_for_the_health_check(proxy: filtering.Filter) -> None:
    """The `stop -t` and `logs -f` of one job must not keep the others from the engine."""
    proxy.held.clear()
    method = {"json": "GET", "logs?follow=1": "GET", "archive?path=x": "GET"}
    lines = [f"{method.get(what, 'POST')} {V}/containers/db/{what}" for what in LASTING]
    lines += [
        f"GET {V}/{line}" for line in ("system/df", "containers/json?size=1", "images/json?shared-size=1", "events")
    ]
    with contextlib.ExitStack() as stack:
        stack.callback(proxy.held.set)
        for number in range(haproxy.CONNECTIONS):
            connect(stack, proxy.socket, lines[number % len(lines)])
        eventually(lambda: len(proxy.seen) == haproxy.STREAMS)
        short = {f"GET {V}/{line}" for line in SHORT.split()}
        for line in short:
            connect(stack, proxy.socket, line)
        connect(stack, proxy.health, "GET /")
        eventually(lambda: {line for line, _ in proxy.seen} >= {*short, "GET /_ping"})
        assert len(proxy.seen) == haproxy.STREAMS + len(short) + 1
        refused = connect(stack, proxy.socket, lines[0])
        assert refused.recv(100).startswith(b"HTTP/1.1 503")


def test_a_proxy_that_nobody_gets_into_is_not_healthy(proxy: filtering.Filter) -> None:
    assert send(proxy.health, request("GET /")).startswith("HTTP/1.1 200")
    with contextlib.ExitStack() as stack:
        for _ in range(haproxy.CONNECTIONS):
            connect(stack, proxy.socket)
        eventually(lambda: send(proxy.health, request("GET /")).startswith("HTTP/1.1 503"))


@pytest.mark.parametrize("key", [*labels.of("ci", "prod"), *labels.OWN, labels.BUILD, labels.PREFIX.upper() + "/x"])
def test_a_label_that_only_stacks_give_is_refused_wherever_labels_are_given(proxy: filtering.Filter, key: str) -> None:
    given = {"Labels": {"team": "a", key: "prod"}}
    mount = {"Type": "volume", "Target": "/c", "VolumeOptions": given}
    for raw in (
        created(json.dumps({"Image": "alpine:latest", **given})),
        created(evil(Mounts=[mount])),
        request(f"POST {V}/volumes/create", json.dumps(given)),
        request(f"POST {V}/networks/create", json.dumps({"Name": "n", **given})),
        request(f"POST {V}/build?{urlencode({'labels': json.dumps(given['Labels'])})}"),
    ):
        assert f'= "{key}"; accepted: a label of your own' in refusal(proxy, raw).replace("abels= =", "abels =")


def test_the_log_has_what_was_refused_without_its_query_and_not_what_works(proxy: filtering.Filter) -> None:
    assert send(proxy.socket, request(f"GET {V}/info")).startswith("HTTP/1.1 200 ")
    send(proxy.socket, request(f"POST {V}/build?networkmode=host&buildargs=never-logged"))
    eventually(lambda: f"refused 403 POST {V}/build\n" in proxy.log.read_text())
    assert not re.search(rf"never-logged|^(?!refused ).* {V}/", proxy.log.read_text(), re.MULTILINE)
