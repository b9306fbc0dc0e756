"""An API server that a test makes up: what it has, what it refuses, and what it was asked."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VERSION = {"major": "1", "minor": "34", "gitVersion": "v1.34.4"}


@dataclass
class FakeApi:
    """What the server answers. A key is a method and a path; a value JSON, text, or what gives one of the request."""

    answers: dict[str, Any] = field(default_factory=lambda: {"GET /version": VERSION})
    asked: list[str] = field(default_factory=list)
    sent: list[Any] = field(default_factory=list)
    """The bodies of the requests that had one."""

    def has(self, path: str, *items: Any) -> None:
        """Give a list these items."""
        self.answers[f"GET {path}"] = {"items": list(items)}

    def refuses(self, request: str, status: int, message: str) -> None:
        """Answer a request as an API server refuses it."""
        self.answers[request] = (status, {"kind": "Status", "message": message})

    def answer(self, request: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        """Status and content for a request."""
        self.asked.append(request)
        if body is not None:
            self.sent.append(body)
        found = self.answers.get(request, (404, {"kind": "Status", "message": f"{request} not found"}))
        if callable(found):
            found = found(query)
        return found if isinstance(found, tuple) else (200, found)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    api: FakeApi

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def _any(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        status, content = self.api.answer(f"{self.command} {parts.path}", parse_qs(parts.query), body)
        data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(content, str) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = _any  # noqa: N815 - the base class's names


class Server:
    """The fake on a port of its own, as a context manager."""

    def __init__(self, api: FakeApi) -> None:
        """Take a free port; requests are answered from `__enter__` on."""
        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"api": api}))
        self.url = f"http://127.0.0.1:{self.httpd.server_port}"
        self.thread = threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.httpd.shutdown()
        self.thread.join()
        self.httpd.server_close()


def kubeconfig(path: Path, server: str, **cluster: str) -> Path:
    """Write a kubeconfig with one context, `here`, for a server."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "u", "user": {"token": "not-a-secret"}}],
    }
    path.write_text(yaml.safe_dump(known))
    return path


def in_turn(*answers: Any) -> Callable[[object], Any]:
    """Give these answers one after the other, the last one again and again."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]
