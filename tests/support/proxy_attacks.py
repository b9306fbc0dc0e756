"""Requests of a client of ill will: what a filter before an engine's socket must not let through.

The corpus is in proxy_attacks.yaml. Bodies are sent in every disguise; here is what only a program can write.
"""

import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from string import Template
from typing import Any, Final

import yaml

from tests.support.filter import ID, NAME, OWN_ID
from tests.support.names import PREFIX

V: Final = "/v1.41"
CANARY: Final = f"{PREFIX}-canary"
"""A container that only a request which got past the proxy would make."""


def send(entrance: Path, text: str | bytes, until: str = "") -> str:
    """Send bytes as they are; give what is answered until its end, or a moment of silence behind the awaited words."""
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(12)  # longer than the proxy waits for a body
        made.connect(str(entrance))
        answer = b""
        with suppress(TimeoutError, ConnectionError):
            made.sendall(text.encode() if isinstance(text, str) else text)
            while piece := made.recv(65536):
                answer += piece
                if until and until.encode() in answer:
                    made.settimeout(0.15)
    return answer.decode(errors="replace")


def request(line: str, body: str | bytes = "", *headers: str, version: str = "1.1") -> bytes:
    """Write a request with a JSON body, if there is one."""
    raw = body if isinstance(body, bytes) else body.encode()
    about = [f"Content-Length: {len(raw)}", "Content-Type: application/json"] if raw else []
    head = [f"{line} HTTP/{version}", "Host: docker", "Connection: close", *about, *headers, "", ""]
    return "\r\n".join(head).encode() + raw


def is_the_proxys(answer: str) -> bool:
    """Say whether nothing but the proxy has answered: by its own words, or by hanging up."""
    words = (
        r"refused by the proxy of this CI|no such object|^HTTP/1\.1 400 Bad request\r|^HTTP/1\.1 408 Request Time-out"
    )
    own = len(re.findall(words, answer, re.MULTILINE))
    return not answer or (
        answer.startswith("HTTP/1.1 4") and len(re.findall(r"^HTTP/1\.1 ", answer, re.MULTILINE)) == own
    )


def evil(**host: Any) -> str:
    """Write the body of a new container with this HostConfig."""
    return json.dumps({"Image": "alpine:latest", "HostConfig": host})


def created(body: str | bytes, *headers: str) -> bytes:
    """Write the request for a new container."""
    return request(f"POST {V}/containers/create", body, *headers)


def chunked(body: str) -> bytes:
    """Write a body in one chunk."""
    return f"{len(body):x}\r\n{body}\r\n0\r\n\r\n".encode()


WHOLE_OWN_ID: Final = f"{OWN_ID}{'0' * 52}"
_TEXT: Final = Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")
CORPUS: Final[dict[str, Any]] = yaml.safe_load(Template(_TEXT).substitute(ID=ID, OWN_ID=WHOLE_OWN_ID, CANARY=CANARY))


def _each(section: str) -> list[dict[str, Any]]:
    return [{key: value} for key, values in CORPUS[section].items() for value in values]


HOST: Final = [
    *_each("host"),
    {"Binds": [*["v:/x"] * 4000, "/:/h"]},
    {"Binds": ["v" * 40_000, "/:/h"]},
    {"VolumesFrom": [*["abcdef"] * 3000, NAME]},
]

DISGUISES: Final[dict[str, Callable[[str, str], str]]] = {
    "as it is": lambda text, _: text,
    "in capitals": lambda text, key: text.replace(f'"{key}"', f'"{key.upper()}"'),
    "in small letters": lambda text, key: text.replace(f'"{key}"', f'"{key.lower()}"'),
    "with a long s or the sign for kelvin": lambda text, key: text.replace(
        f'"{key}"', f'"{key.replace("s", chr(0x17F)).replace("k", chr(0x212A)).replace("S", chr(0x17F))}"'
    ),
    "with an escape": lambda text, key: text.replace(f'"{key}"', f'"\\u00{ord(key[0]):02x}{key[1:]}"'),
    "with space": lambda text, key: text.replace(f'"{key}": ', f'"{key}"\n\t :\r\n  '),
    "behind a harmless twin": lambda text, key: text.replace(f'"{key}"', f'"{key}": null, "{key}"'),
    "behind a small twin": lambda text, key: text.replace(f'"{key}"', f'"{key.lower()}": null, "{key}"'),
    "with slashes and letters as escapes": lambda text, key: text.replace("/", "\\u002f").replace("host", "\\u0068ost"),
    "before a harmless twin": lambda text, _: text[:-1] + ', "HostConfig": {}}',
    "behind a whole body": lambda text, _: '{"Image": "alpine:latest"}' + text,
}  # fmt: skip


def bodies() -> Iterator[tuple[str, bytes]]:
    """Give every body in each disguise, with what it is."""
    for host in HOST:
        for kind, disguise in DISGUISES.items():
            yield f"{json.dumps(host)[:80]} {kind}", created(disguise(evil(**host), next(iter(host))))
    for body in _each("containers"):
        for kind, disguise in DISGUISES.items():
            text = disguise(json.dumps({"Image": "alpine:latest", **body}), next(iter(body)))
            yield f"{json.dumps(body)[:80]} {kind}", created(text)
    for path, several in CORPUS["others"].items():
        for body in several:
            yield f"{path} {json.dumps(body)}", request(f"POST {V}{path}", json.dumps(body))
    for query in CORPUS["queries"]:
        yield query, request(f"POST {V}/containers/create?{query}", CREATE)
    for path in ("/containers/create", "/networks/create", "/volumes/create", f"/containers/{ID}/exec"):
        yield f"{path} a list", request(f"POST {V}{path}", "[{}]")


CREATE: Final = evil()
SMUGGLED: Final = request(f"POST {V}/containers/create?name={CANARY}", evil(Privileged=True))
_FORM: Final = "application/x-www-form-urlencoded"
_CHUNKS: Final = request(f"POST {V}/containers/create", "", "Transfer-Encoding: chunked")
_LATE: Final = '{"Image":"alpine:latest",' + " " * 70_000 + '"HostConfig":{"Privileged":true}}'

RAW: Final[dict[str, bytes]] = {
    **{kind: request(line) for kind, line in CORPUS["written"].items()},
    **{kind: created(text) for kind, text in CORPUS["texts"].items()},
    "a start as it once was": request(f"POST /v1.20/containers/{ID}/start", evil(Privileged=True)),
    "two versions": request(f"POST {V}{V}/containers/create", CREATE),
    "an override by a header": request(f"GET {V}/swarm/prune", "", "X-HTTP-Method-Override: POST"),
    # The query.
    "a form for a query": request(f"POST {V}/build", "", f"Content-Type: {_FORM}", "Content-Length: 0"),
    "a form beside a type": request(f"POST {V}/build", "", "Content-Type: application/x-tar", f"Content-Type: {_FORM}"),
    # The protocol.
    "HTTP of before": request("GET /info", version="1.0"),
    "HTTP of once": b"GET /info\r\n\r\n",
    **{
        f"{line} by {upgrade}": request(
            f"{line.split()[0]} {V}{line.split()[1]}", "", "Connection: Upgrade", f"Upgrade: {upgrade}"
        )
        for line in CORPUS["takeovers"]
        for upgrade in ("websocket", "tcp/1", "tcp, websocket", "websocket, h2c")
    },
    **{
        f"a body of the kind {kind}": request(f"POST {V}/build", "", f"Content-Type: {kind}", "Content-Length: 0")
        for kind in (
            "application/grpc",
            "application/grpc+proto",
            "multipart/form-data; boundary=x",
            "text/html",
            "*/*",
            ";",
        )
    },
    "a body of a call that has none": request(f"GET {V}/info", "{}"),
    "chunks of a call that has none": request(f"POST {V}/containers/{ID}/start", "", "Transfer-Encoding: chunked")
    + chunked("{}"),
    "chunks of a log-in": request(f"POST {V}/auth", "", "Transfer-Encoding: chunked") + chunked("{}"),
    "a takeover of a call that has none": request(f"GET {V}/info", "", "Connection: Upgrade", "Upgrade: tcp"),
    "a tunnel to BuildKit": request("POST /grpc", "", "Connection: Upgrade", "Upgrade: h2c"),
    "a tunnel for a session": request("POST /session", "", "Connection: Upgrade", "Upgrade: h2c"),
    "HTTP/2 at once": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    # Two requests for one.
    "a length and chunks": created(CREATE, "Transfer-Encoding: chunked"),
    "chunks alone": _CHUNKS + chunked(evil(Privileged=True)),
    "chunks beyond what is kept": _CHUNKS + chunked(_LATE),
    "chunks of one byte": _CHUNKS + "".join(f"1\r\n{byte}\r\n" for byte in _LATE).encode() + b"0\r\n\r\n",
    "chunks in disguise": _CHUNKS.replace(b"Encoding:", b"Encoding :") + chunked(CREATE),
    "chunks of a kind": request(f"POST {V}/auth", "", "Transfer-Encoding: xchunked") + SMUGGLED,
    "two lengths": request(f"POST {V}/auth", "", "Content-Length: 2", "Content-Length: 0") + b"{}" + SMUGGLED,
    "a length below nothing": request(f"POST {V}/auth", "", "Content-Length: -1") + SMUGGLED,
    "a length with a sign": request(f"POST {V}/containers/create", "", "Content-Length: +2") + b"{}",
    "a body that does not come": request(f"POST {V}/containers/create", "", "Content-Length: 900") + CREATE.encode(),
    "a header over two lines": request(f"POST {V}/swarm/create", json.dumps({"Name": CANARY}), "A: b\r\n c: d"),
    "a line feed alone": f"GET {V}/swarm HTTP/1.1\nHost: docker\n\n".encode(),
    # The body.
    "a body without an end": created("x" * 300_000),
    "a path behind much space": created(evil(Binds=["/:/h"]).replace("[", "[" + " " * 40_000)),
    "lists in lists": created("[" * 200_000),
    "objects in objects": created('{"HostConfig":' * 10_000),
    "behind a byte order mark": created("\ufeff" + evil(Privileged=True)),
    "in another encoding": created(evil(Privileged=True).encode("utf-16")),
    "more values than a client has": created(evil(Dns=[""] * 10_000)),
    "bytes that are no UTF-8": created(b'{"HostConfig":{"Privileged\xff":true}}'),
}
"""What is wrong with the request itself."""


def attacks() -> dict[bytes, str]:
    """Give every request once, with what it is."""
    lines = re.split(r"[|\n]", CORPUS["lines"].strip())
    every = [*bodies(), *((line, request(line.replace(" /", f" {V}/", 1))) for line in lines), *RAW.items()]
    return {raw: kind for kind, raw in reversed(every)}
