"""Which calls the receiver takes, as a real HAProxy does it with the project's rules."""

import contextlib
import gzip
import hmac
import re
import socket
import time
from pathlib import Path

import pytest

from components.kubernetes import endpoints, webhook
from tests.support import filter as filtering
from tests.support.filter import Filter
from tests.support.proxy_attacks import chunked, request, send

SECRET = """a 'b' "c" \\ ${HOME} %[uuid()],x"""
"""With what a configuration could read in another way."""

BODY = b'{"ref":"refs/heads/main"}'
POST = "POST /"
EMPTY = "X-Hub-Signature-256: sha256="
CHUNKED = "Transfer-Encoding: chunked"
LARGEST = b"x" * webhook.LONGEST_BYTES


def rules(entrance: Path, _: Path) -> str:
    """Give the configuration with sockets in the place of ports, and less patience."""
    text = webhook.configuration(SECRET).replace(f"bind :{endpoints.WEBHOOK_PORT}", f"bind unix@{entrance}")
    text = text.replace(f"bind 127.0.0.1:{webhook.CALLS_PORT}", f"bind unix@{entrance.with_name('health')}")
    return text.replace(" 2s", " 1s")


running = filtering.fixture(rules)


def signed(body: bytes = BODY, *, secret: str = SECRET, name: str = "sha256") -> str:
    """Give the header by which GitHub and Gitea sign a body."""
    return f"X-Hub-Signature-256: {name}={hmac.new(secret.encode(), body, name).hexdigest()}"


def token(value: str = SECRET) -> str:
    """Give the header that GitLab sends."""
    return f"X-Gitlab-Token: {value}"


def last_call(running: Filter) -> str:
    """Give what the watcher reads."""
    return send(running.health, request("GET /")).partition("\r\n\r\n")[2]


RIGHT = request(POST, BODY, signed())


@pytest.mark.parametrize(
    "call",
    [
        RIGHT,
        request(POST, BODY, token()),
        request(POST, BODY, token("another"), signed()),
        request("POST /?x=1", BODY, signed()),
        request(POST, LARGEST, signed(LARGEST)),
        request(POST, b"a\0b", signed(b"a\0b")),
        request(POST, "", signed(b"")),
        # It is the bytes that are signed.
        request(POST, gzip.compress(BODY, mtime=0), signed(gzip.compress(BODY, mtime=0)), "Content-Encoding: gzip"),
    ],
)
def test_a_call_of_who_knows_the_secret_is_noted_as_often_as_it_comes(running: Filter, call: bytes) -> None:
    for _ in range(2):
        before = last_call(running)
        assert send(running.socket, call).startswith("HTTP/1.1 202 ")
        assert last_call(running) not in {before, ""}


def test_callers_who_are_slow_keep_no_other_one_waiting(running: Filter) -> None:
    # None knows the secret: what a signed one has sent when it goes away may be noted, after this test.
    unsigned = request(POST, BODY, signed(secret="another"))
    slow = [unsigned.replace(b"Content-Length: 25", b"Content-Length: 26"), unsigned[:40], b"P"]
    with contextlib.ExitStack() as open_:
        for number in range(200):
            one = open_.enter_context(socket.socket(socket.AF_UNIX))
            one.connect(str(running.socket))
            one.sendall(slow[number % len(slow)])
        before = time.monotonic()
        assert send(running.socket, RIGHT).startswith("HTTP/1.1 202 ")
        # Less than the patience with a slow one.
        assert time.monotonic() - before < 0.9


@pytest.mark.parametrize(
    "call",
    [
        *(request(POST, body, header) for body in (BODY, "") for header in (EMPTY, EMPTY[:-7], token(""), "X: x")),
        *(request(POST, BODY, signed(secret=secret)) for secret in ("", "another", SECRET[:-1])),
        *(request(POST, BODY, signed().replace("sha256=", prefix)) for prefix in ("", "sha1=", "SHA256=")),
        *(request(POST, BODY, token(value)) for value in ("another", SECRET[:-1], f"{SECRET}x")),
        request(POST, BODY, signed(name="sha1")),
        request(POST, BODY, signed()[:-1]),
        request(POST, BODY, signed().replace("-256", "")),
        request(POST, BODY, signed(b"another")),
        request(POST, BODY + b"x", signed()),
        request(POST, gzip.compress(BODY), signed(), "Content-Encoding: gzip"),
        # Twice
        *(request(POST, BODY, *two) for two in ([signed()] * 2, [signed(secret=""), signed()], [token()] * 2)),
        request(POST, BODY, f"{EMPTY}0, {signed().partition(' ')[2]}"),
        request(POST, BODY, signed(), "Content-Length: 1"),
        # Too long, of an unknown length, and of another one than was said; the rest never comes.
        *(request(POST, LARGEST + b"x", header) for header in (signed(LARGEST + b"x"), token())),
        *(request(POST, "", header, CHUNKED) + chunked(BODY.decode()) for header in (signed(), token())),
        request(POST, "", signed(), f"{CHUNKED}, gzip, chunked") + chunked(BODY.decode()),
        *(RIGHT.replace(b"Content-Length: 25", b"Content-Length: %d" % length) for length in (24, 26)),
        RIGHT[:40],
        # To somewhere else
        *(request(f"{method} /", BODY, signed()) for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS")),
        *(request(f"POST {path}", BODY, signed()) for path in ("/x", "//", "/%2f", "*", "http://127.0.0.1:8001/")),
        request("CONNECT 127.0.0.1:8001", BODY, signed()),
        # In another language
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01" + b"\0" * 99,
    ],
)
def test_every_other_call_is_refused_without_a_reason_and_not_noted(running: Filter, call: bytes) -> None:
    before = last_call(running)
    head, _, body = send(running.socket, call).partition("\r\n\r\n")
    assert head[:10] == "HTTP/1.1 4"
    # HAProxy's own words, which are the same for every refusal with this status.
    assert re.fullmatch(r"(<html><body><h1>4\d\d [^<]*</h1>\n[^<]*\n</body></html>\n)?", body)
    assert last_call(running) == before
