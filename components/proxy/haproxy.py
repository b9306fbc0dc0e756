"""HAProxy's configuration: the rules of `calls` and `bodies` as its text."""

import json
import re
from collections.abc import Sequence
from typing import Final

from components.proxy import bodies
from components.proxy.bodies import LONGEST_BYTES, OWN_ID
from components.proxy.calls import CALLS, HIDDEN

HEALTH_PORT: Final = 8079
"""Inside the container, which has no network but its own loopback."""

REFUSED: Final = "refused by the proxy of this CI (ci:docker.access: proxy): "
"""How every refusal begins."""

_HEADERS_BYTES: Final = 16 * 1024
"""HAProxy's own figure for a whole request without its body."""

_ANY_LENGTH: Final = "20d"
"""A quiet build, `docker wait` or `docker logs -f` sends nothing for as long as it likes. HAProxy counts to 24 days."""

_BODY_SECONDS: Final = 10

_DEFAULTS: Final = f"""\
global
    log stdout format raw local0 info
    maxconn 512
    tune.bufsize {LONGEST_BYTES + _HEADERS_BYTES}

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
    timeout http-request 10s
    timeout client {_ANY_LENGTH}
    timeout server {_ANY_LENGTH}
    timeout tunnel {_ANY_LENGTH}
"""

_HEALTH: Final = f"""
frontend health
    bind 127.0.0.1:{HEALTH_PORT}
    http-request set-log-level silent
    http-request deny deny_status 404 unless METH_GET {{ path / }}
    http-request set-path /_ping
    default_backend engine
"""


def render(*, socket: str, engine: str, container: str, volume: str, images: Sequence[str]) -> str:
    """Give the whole configuration, for HAProxy 3.0 or newer.

    Args:
        socket: where it listens, a path in the container.
        engine: the engine's socket, a path in the container.
        container: the name of the proxy's own container.
        volume: the name of the volume that holds `socket`.
        images: what the stack deploys. A job may use these repositories, and not put another image under their names.
    """
    lines = [
        f"    http-error status 503 {_answer('the proxy of this CI does not reach the Docker engine behind it')}",
        "",
        "frontend filter",
        f"    bind unix@{socket} mode 660",
        *(f"    {rule}" for rule in _rules(container, volume, images)),
        "    default_backend engine",
        _HEALTH,
        "backend engine",
        f"    server engine unix@{engine}",
        "",
    ]
    return _DEFAULTS + "\n".join(lines)


def _repository(image: str) -> str:
    """Give an expression for every way to write an image's repository. Source: distribution/reference, normalize.go."""
    name = image.partition("@")[0]
    name = name if ":" not in name.rpartition("/")[2] else name.rpartition(":")[0]
    host, slash, rest = name.partition("/")
    if not slash or (host != "localhost" and not set(host) & set(".:")):
        host, rest = "docker.io", name
    if host not in ("docker.io", "index.docker.io"):
        return re.escape(f"{host}/{rest}")
    return rf"(?:(?:index\.)?docker\.io/)?(?:library/)?{re.escape(rest.removeprefix('library/'))}"


def _rules(container: str, volume: str, images: Sequence[str]) -> list[str]:
    """Give the rules in the order in which they are tried. The first that refuses ends it."""
    judged = "|".join(call.place for call in CALLS if call.body)
    name = container.replace(".", r"\.")
    deployed = "|".join(_repository(image) for image in images)
    named = rf"(?:^|&)(?:t|repo|fromImage)=\s*(?:{deployed})(?:[:@&\s]|$)"
    itself = bodies.own("(?:/|$)")
    return [
        "# What two readers could read in two ways.",
        "acl absolute url_beg /",
        "acl current req.ver 1.1",
        "acl twisted path_sub // /. ..",
        _deny("it is written in a way that is not taken here", "!absolute or !current or twisted"),
        "# An engine reads a form as if it were the query.",
        "acl form req.hdr(content-type) -i -m sub form",
        "acl typed_twice req.hdr_cnt(content-type) gt 1",
        _deny("its body is a form", "form or typed_twice"),
        "# What a Docker pipeline needs.",
        'http-request set-var-fmt(txn.line) "%[method] %[pathq]"',
        *(f"acl known var(txn.line) -m reg {_word(call.expression)}" for call in CALLS),
        f"acl hidden var(txn.line) -m reg {_word(HIDDEN)}",
        f"http-request deny deny_status 404 {_answer('no such object')} if hidden",
        _deny(
            "BuildKit works through a tunnel, into which no rule sees; DOCKER_BUILDKIT=0 builds without it",
            "!known { path_reg ^(/v[0-9.]+)?/(session|grpc)$ }",
        ),
        _deny(
            "docker build is not given --network host, --security-opt, BuildKit, or a context for the engine to fetch",
            "!known METH_POST { path_end /build }",
        ),
        f"http-request deny deny_status 403 {_unknown()} if !known",
        "# Its own container, by its name or by any beginning of its id.",
        'http-request set-var-fmt(txn.own) "%[env(HOSTNAME)] %[path]"',
        f"acl own var(txn.own) -m reg {_word(f'^{OWN_ID} (/v[0-9.]+)?/containers/{itself}')}",
        f"acl own path_reg {_word(f'^(/v[0-9.]+)?/containers/{name}(/|$)')}",
        _deny("it is about the proxy itself, whose name or whose id's beginning this is", "own"),
        "# The images that the stack deploys, which its next update looks for by their names.",
        "http-request set-var(txn.query) query,url_dec(1)",
        f"acl deployed var(txn.query) -m reg -i {_word(named)}",
        f"acl deployed path_reg -i {_word(f'^(/v[0-9.]+)?/images/(?:{deployed})(?:[:@]|$)')}",
        _deny("this CI is deployed from an image of that name", "deployed !METH_GET"),
        "# What a new container, or a new command in one, may do. The whole body has to be here before it is judged.",
        f"acl judged path_reg {_word(f'^({judged})$')}",
        _deny("its body comes without its length", "METH_POST judged { req.hdr(transfer-encoding) -m found }"),
        _deny(
            f"its body is longer than {LONGEST_BYTES} bytes", f"METH_POST judged {{ req.body_size gt {LONGEST_BYTES} }}"
        ),
        f"http-request wait-for-body time {_BODY_SECONDS}s if METH_POST judged",
        "http-request set-var(txn.length) req.body_len if METH_POST judged",
        _deny("its body did not come", "METH_POST judged !{ req.body_size,sub(txn.length) 0 }"),
        'http-request set-var-fmt(txn.body) "%[env(HOSTNAME)] %[req.body]" if METH_POST judged',
        *(
            # The digits of its own id, for a rule that is about it.
            _deny(rule.words, f"{{ var(txn.body) -m reg -i {_word(f'(?s)^{OWN_ID} .*?{rule.broken}')} }}")
            if "(?P=" in rule.broken
            else _deny(rule.words, f"{{ var(txn.body) -m reg -i {_word(rule.broken)} }}")
            for rule in bodies.rules(container)
        ),
        *(_deny(words, f"{{ var(txn.body) -m reg -i {_word(what)} }}") for what, words in bodies.hidden(volume)),
        f"acl clean var(txn.body) -m reg -i {_word(bodies.clean(container, volume))}",
        _deny("it says what a container must not be, or is no JSON", "METH_POST judged !clean"),
        "http-request set-log-level silent",
    ]


def _deny(words: str, condition: str) -> str:
    return f"http-request deny deny_status 403 {_answer(REFUSED + words)} if {condition}"


def _answer(words: str) -> str:
    """Give an answer in the form of the engine's own, whose message its client prints."""
    return f"content-type application/json string {_word(json.dumps({'message': words}))}"


def _unknown() -> str:
    message = f'{{"message":"{REFUSED}a Docker pipeline does not need %[method,json(utf8s)] %[path,json(utf8s)]"}}'
    return f"content-type application/json lf-string {_word(message)}"


def _word(text: str) -> str:
    """Write text as one word in which HAProxy replaces nothing."""
    return "'" + text.replace("'", r"'\''") + "'"
