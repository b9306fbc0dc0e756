"""The Kubernetes API over HTTP: one pool of connections, errors as the API server words them."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from ..rpc import PluginError
from .connection import Connection, UnreachableError

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping

    from .objects import Object

JSON: Final = "application/json"
APPLY: Final = "application/apply-patch+yaml"
JSON_PATCH: Final = "application/json-patch+json"
# A watch ends after this many seconds, and is begun anew where it ended.
_WATCH_SECONDS = 240
# How often a request is repeated that the server puts off ("429 Too Many Requests", "Retry-After").
_PATIENCE = 10
_USER_AGENT = "pulumi-kubernetes-bundled"
_NOT_FOUND, _CONFLICT, _INVALID, _FORBIDDEN, _GONE, _BAD_REQUEST = 404, 409, 422, 403, 410, 400
_TOO_MANY, _UNAVAILABLE = 429, 503


class StatusError(PluginError):
    """What the API server answered instead of an object.

    Attributes:
        code: the HTTP status.
        reason: one word: "NotFound", "AlreadyExists", "Invalid", ...
        details: the object that it is about, if the server says so.
    """

    def __init__(self, code: int, message: str, reason: str = "", details: Any = None) -> None:
        """Keep what the server said."""
        super().__init__(message)
        self.code, self.reason = code, reason
        self.details: Mapping[str, Any] = details if isinstance(details, dict) else {}

    @property
    def not_found(self) -> bool:
        """Whether the object, or what it belongs to, is not there."""
        return self.code == _NOT_FOUND

    @property
    def namespace_missing(self) -> bool:
        """Whether it is the namespace that is not there."""
        return self.not_found and self.details.get("kind") == "namespaces"

    @property
    def exists(self) -> bool:
        """Whether there is an object of that name already."""
        return self.code == _CONFLICT and self.reason == "AlreadyExists"

    @property
    def conflict(self) -> bool:
        """Whether another field manager has a say in a field."""
        return self.code == _CONFLICT and self.reason == "Conflict"

    @property
    def invalid(self) -> bool:
        """Whether the object breaks a rule of its kind."""
        return self.code == _INVALID

    @property
    def forbidden(self) -> bool:
        """Whether the user, a quota or an admission rule does not allow it."""
        return self.code == _FORBIDDEN

    @property
    def gone(self) -> bool:
        """Whether a watch must begin with a new list."""
        return self.code == _GONE

    @property
    def dry_run_refused(self) -> bool:
        """Whether an admission webhook takes no dry runs."""
        return self.code == _BAD_REQUEST and "does not support dry run" in str(self)


class Api:
    """Requests to one API server."""

    def __init__(self, connection: Connection, cancelled: threading.Event) -> None:
        """Use a connection until `cancelled` is set."""
        self._connection = connection
        self._cancelled = cancelled

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Object:
        """Read an object or a list."""
        return self.request("GET", path, query)

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        content_type: str = JSON,
    ) -> Object:
        """Make one request.

        Raises:
            StatusError: the server refused it.
            UnreachableError: nobody answered.
        """
        for attempt in range(_PATIENCE + 1):
            answer = self._send(method, path, query, body, content_type, stream=False)
            wait = answer.headers.get("Retry-After", "")
            put_off = answer.status == _TOO_MANY or (answer.status == _UNAVAILABLE and method == "GET")
            if not (put_off and wait.isdigit() and attempt < _PATIENCE) or self._cancelled.wait(min(int(wait), 30)):
                break
        return _object(answer.status, answer.data)

    def watch(self, path: str, query: Mapping[str, Any], version: str) -> Iterator[Object]:
        """Yield the events after a resource version until the server ends the watch.

        Raises:
            StatusError: the server refused it, or its history does not go back that far (`gone`).
            UnreachableError: the connection broke.
        """
        import urllib3  # noqa: PLC0415 (loaded by the connection)

        asked = {
            **query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": _WATCH_SECONDS,
        }
        answer = self._send("GET", path, asked, None, JSON, stream=True)
        try:
            if answer.status >= _BAD_REQUEST:
                _object(answer.status, answer.data)
            rest = b""
            for chunk in answer.stream(2**16):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    if event.get("type") == "ERROR":
                        status = event.get("object") or {}
                        raise _status_error(int(status.get("code") or 0), status)
                    yield event
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise UnreachableError(f"the watch of {path} broke: {type(error).__name__}") from error
        finally:
            answer.close()
            answer.release_conn()

    def _send(  # noqa: PLR0913 (it is one HTTP request)
        self, method: str, path: str, query: Mapping[str, Any] | None, body: Any, content_type: str, *, stream: bool
    ) -> Any:
        import urllib3  # noqa: PLC0415 (loaded by the connection)

        headers = {"Accept": JSON, "User-Agent": _USER_AGENT}
        authorization = self._connection.authorization()
        if authorization:
            headers["Authorization"] = authorization
        if body is not None:
            headers["Content-Type"] = content_type
            body = json.dumps(body, separators=(",", ":")).encode()
        url = f"{self._connection.server}{path}" + (f"?{urlencode(query)}" if query else "")
        named: dict[str, Any] = {"preload_content": not stream}
        if stream:
            named["timeout"] = urllib3.Timeout(connect=10, read=_WATCH_SECONDS + 30)
        begun = time.monotonic()
        for attempt in range(2):
            try:
                return self._connection.pool.request(method, url, body=body, headers=headers, **named)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                # A kept connection that the server has closed meanwhile fails at once; reading can be repeated.
                stale = isinstance(error, urllib3.exceptions.ProtocolError) and time.monotonic() - begun < 1
                if attempt or method != "GET" or not stale:
                    raise UnreachableError(_cause(self._connection.server, error)) from error
        raise AssertionError


def _object(status: int, data: bytes) -> Object:
    try:
        found = json.loads(data) if data else {}
    except ValueError:
        found = {"message": data.decode(errors="replace").strip()[:500]}
    if status >= _BAD_REQUEST:
        raise _status_error(status, found if isinstance(found, dict) else {})
    return found if isinstance(found, dict) else {}


def _status_error(code: int, status: Object) -> StatusError:
    message = status.get("message") or f"the API server answered {code}"
    return StatusError(code, str(message), str(status.get("reason") or ""), status.get("details"))


def _cause(server: str, error: Exception) -> str:
    """Say what is wrong with a connection: the system's or OpenSSL's own words, from within the library's."""
    inner: BaseException = error
    while True:
        deeper = getattr(inner, "reason", None)
        following = deeper if isinstance(deeper, BaseException) else inner.__cause__ or inner.__context__
        if following is None or following is inner:
            break
        inner = following
    text = getattr(inner, "verify_message", "") or getattr(inner, "strerror", None) or str(inner)
    return f"{server}: {text}"


def segment(text: str) -> str:
    """Write a name as a part of a path."""
    return quote(text, safe="")
