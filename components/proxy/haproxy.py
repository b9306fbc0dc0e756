"""HAProxy's configuration. What may pass is in policy.lua, which HAProxy runs; here is what HAProxy does by itself."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from .. import labels

RULES: Final = ("policy.lua", "bodies.lua", "shapes.lua")
"""The files beside this one that HAProxy loads from one folder: the first, which asks for the others."""

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

CONNECTIONS: Final = 640
STREAMS: Final = 448
"""How many of them may be calls that can last: builds, `wait`, `logs -f`, `exec`, and whatever is not surely short."""

WAITING: Final = 32
"""So many more of those wait for a place. The rest is for the short ones."""

_ANY_LENGTH: Final = "20d"
"""A quiet build, `docker wait` or `docker logs -f` sends nothing for as long as it likes. HAProxy counts to 24 days."""

_CONFIGURATION: Final = Path(__file__).with_name("haproxy.cfg").read_text(encoding="utf-8")


def rules() -> dict[str, str]:
    """Return the text of each file of RULES by its name."""
    return {name: Path(__file__).with_name(name).read_text(encoding="utf-8") for name in RULES}


def render(  # noqa: PLR0913 - all by keyword
    *,
    socket: str,
    engine: str,
    folder: str,
    name: str,
    images: Sequence[str],
    ports: Sequence[int],
    prunes: Mapping[str, Mapping[str, str]],
) -> str:
    """Give the whole configuration, for HAProxy 3.0 or newer with Lua.

    Args:
        socket: where it listens, a path in the container.
        engine: the engine's socket, a path in the container.
        folder: with the files of RULES, in the container.
        name: of the proxy's own container, and of the volume that holds `socket`.
        images: what the stack is deployed from, each with `+` before it if jobs may pull it. No job may put another
            image under these repositories' names.
        ports: of the host, which the stack itself publishes. No job may publish one of them.
        prunes: by path, the keys of the query of each call that removes what is old. Only exactly these pass.
    """
    calls = [f"'{path}?{'&'.join(map('='.join, query.items()))}'" for path, query in prunes.items()]
    return _CONFIGURATION.format(
        socket=socket,
        engine=engine,
        folder=folder,
        arguments=" ".join([name, ",".join(labels.OWN), *images, *(f":{port}" for port in ports), *calls]),
        connections=CONNECTIONS,
        connections_and_health=CONNECTIONS + 8,
        streams=STREAMS,
        waiting=WAITING,
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
