"""HAProxy's configuration. What may pass is in policy.lua, which HAProxy runs; here is what HAProxy does by itself."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

POLICY: Final = Path(__file__).with_name("policy.lua")

HEALTH_PORT: Final = 8079
"""Inside the container, which has no network but its own loopback."""

REFUSED: Final = "refused by the proxy of this CI (ci:docker.access: proxy): "
"""How every refusal begins."""

LONGEST_BYTES: Final = 256 * 1024
"""The longest body that is judged. For `docker run` the client sends 3 KiB, and whatever variables a job adds."""

_HEADERS_BYTES: Final = 16 * 1024
"""HAProxy's own figure for a whole request without its body."""

_BUFFERS: Final = 256
"""At most so many are filled at once, 68 MiB. A connection that waits has none."""

CONNECTIONS: Final = 512
STREAMS: Final = 448
"""How many of them may be calls that can last: builds, `wait`, `logs -f`, `exec`. The rest is for the short ones."""

_ANY_LENGTH: Final = "20d"
"""A quiet build, `docker wait` or `docker logs -f` sends nothing for as long as it likes. HAProxy counts to 24 days."""

_CONFIGURATION: Final = """\
global
    log stdout format raw local0 info
    maxconn {connections_and_health}
    nbthread 2
    tune.bufsize {bufsize}
    tune.buffers.limit {buffers}
    tune.lua.maxmem 24
    lua-load-per-thread {policy} {arguments}

defaults
    mode http
    log global
    option dontlognull
    # Of a refused request: its path, and never its query, where the arguments of builds stand.
    log-format "refused %ST %HM %HP"
    option disable-h2-upgrade
    # When a job is ended in the middle of a build, the engine is told at once.
    option abortonclose
    timeout connect 5s
    timeout queue 5s
    timeout http-request 10s
    timeout client {any_length}
    timeout server {any_length}
    timeout tunnel {any_length}
    http-error status 503 {unavailable}

frontend filter
    bind unix@{socket} mode 660
    maxconn {connections}
    # What two readers could read in two ways. An engine reads a form as if it were the query.
    acl current req.ver 1.1
    acl form req.hdr(content-type) -i -m sub form
    acl typed_twice req.hdr_cnt(content-type) gt 1
    acl chunked req.hdr(transfer-encoding) -m found
    acl pass var(txn.verdict) -m str pass
    acl body var(txn.verdict) -m str body
    acl absent var(txn.verdict) -m str absent
    http-request set-var-fmt(txn.words) "it is written in a way that is not taken here"
    http-request deny deny_status 403 {refusal} if !current or form or typed_twice
    http-request lua.judge_request
    http-request deny deny_status 404 {absent} if absent
    http-request set-var-fmt(txn.words) "its body comes without its length, or is longer than {longest} bytes" if body
    http-request deny deny_status 403 {refusal} if body chunked
    http-request deny deny_status 403 {refusal} if body {{ req.body_size gt {longest} }}
    http-request wait-for-body time 10s if body
    http-request lua.judge_body if body
    http-request deny deny_status 403 {refusal} unless pass
    http-request set-log-level silent
    use_backend streams if {{ var(txn.lasts) -m str yes }}
    default_backend engine

frontend health
    bind 127.0.0.1:{health_port}
    http-request set-log-level silent
    http-request deny deny_status 404 unless METH_GET {{ path / }}
    http-request set-path /_ping
    default_backend engine

backend engine
    server engine unix@{engine}

backend streams
    server engine unix@{engine} maxconn {streams}
"""


def policy() -> str:
    """Give the text of policy.lua."""
    return POLICY.read_text()


def render(  # noqa: PLR0913 - all by keyword
    *,
    socket: str,
    engine: str,
    policy: str,
    name: str,
    images: Sequence[str],
    prunes: Mapping[str, Mapping[str, str]],
) -> str:
    """Give the whole configuration, for HAProxy 3.0 or newer with Lua.

    Args:
        socket: where it listens, a path in the container.
        engine: the engine's socket, a path in the container.
        policy: the path of policy.lua in the container.
        name: of the proxy's own container, and of the volume that holds `socket`.
        images: what the stack is deployed from, each with `+` before it if jobs may pull it. No job may put another
            image under these repositories' names.
        prunes: by path, the keys of the query of each call that removes what is old. Only exactly these pass.
    """
    calls = [f"'{path}?{'&'.join(map('='.join, query.items()))}'" for path, query in prunes.items()]
    return _CONFIGURATION.format(
        socket=socket,
        engine=engine,
        policy=policy,
        arguments=" ".join([name, *images, *calls]),
        connections=CONNECTIONS,
        connections_and_health=CONNECTIONS + 8,
        streams=STREAMS,
        buffers=_BUFFERS,
        bufsize=LONGEST_BYTES + _HEADERS_BYTES,
        longest=LONGEST_BYTES,
        any_length=_ANY_LENGTH,
        health_port=HEALTH_PORT,
        refusal=f"""content-type application/json lf-string '{{"message":"{REFUSED}%[var(txn.words),json(utf8s)]"}}'""",
        absent=_answer("no such object"),
        unavailable=_answer("the proxy of this CI does not reach the Docker engine, or has too many calls under way"),
    )


def _answer(words: str) -> str:
    """Give an answer in the form of the engine's own, whose message its client prints."""
    return f"content-type application/json string '{json.dumps({'message': words})}'"
