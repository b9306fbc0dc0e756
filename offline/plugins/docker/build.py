"""Building an image on the engine, with its classic builder or with BuildKit, and reading what it prints."""

from __future__ import annotations

import base64
import json
from collections import deque
from typing import IO, TYPE_CHECKING, Any

from ..rpc import PluginError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .engine import Engine

# Lines of a failed build that its error shows.
_SHOWN_LINES = 30


def build_image(engine: Engine, archive: IO[bytes], parameters: dict[str, str], say: Callable[[str], None]) -> str:
    """Build an image; return its id ("sha256:...").

    Args:
        engine: the engine to build on.
        archive: the context, as a tar archive.
        parameters: those of the engine's POST /build.
        say: takes each line that the build prints.

    Raises:
        PluginError: the build failed; with the last lines it printed.
    """
    client = engine.client()
    answer = client.post(
        f"{client.base_url}/v{client.api_version}/build",
        params=parameters,
        data=archive,
        headers={"Content-Type": "application/x-tar"},
        stream=True,
        # A step may print nothing for as long as it likes.
        timeout=(60, None),
    )
    if not answer.ok:
        raise PluginError(f"error building image: {answer.json().get('message', answer.reason)}")
    image, last = "", deque[str](maxlen=_SHOWN_LINES)
    with answer:
        for line in answer.iter_lines():
            if engine.cancelled.is_set():
                raise PluginError("error building image: the update was cancelled")
            event = json.loads(line) if line else {}
            if event.get("error"):
                tail = "\n".join(last)
                raise PluginError(f"error building image: {event['error']}" + (f"\n{tail}" if tail else ""))
            image = _image_id(event) or image
            for text in _lines(event):
                if not last or last[-1] != text:
                    last.append(text)
                    say(text)
    if not image:
        raise PluginError("error building image: no image id found in build output")
    return image


def _image_id(event: dict[str, Any]) -> str:
    aux = event.get("aux")
    return str(aux["ID"]) if isinstance(aux, dict) and "ID" in aux else ""


def _lines(event: dict[str, Any]) -> Iterator[str]:
    texts = [event.get("stream") or event.get("status") or ""]
    if event.get("id") == "moby.buildkit.trace" and isinstance(event.get("aux"), str):
        texts = list(_trace_texts(base64.b64decode(event["aux"])))
    for text in texts:
        yield from (line for line in text.rstrip().splitlines() if line.strip())


def _trace_texts(message: bytes) -> Iterator[str]:
    """Read BuildKit's progress: of its StatusResponse, the names of steps (1.3), errors (1.8) and logs (3.4)."""
    for number, value in _protobuf_fields(message):
        if number in (1, 3):
            wanted = {1: (3, 8), 3: (4,)}[number]
            for inner, text in _protobuf_fields(value):
                if inner in wanted:
                    yield text.decode(errors="replace")


def _protobuf_fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (number, content) of a message's fields that have a length; skip the numbers."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 2:  # noqa: PLR2004 (protobuf's wire type of strings and messages)
            size, at = _varint(message, at)
            yield key >> 3, message[at : at + size]
            at += size
        elif kind == 0:
            _, at = _varint(message, at)
        else:
            at += 8 if kind == 1 else 4


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
