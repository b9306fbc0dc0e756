"""An API server that a test makes up: what it has, what it refuses, and what it was asked."""

import json
import re
from pathlib import Path
from typing import Any

import yaml
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response


class FakeApi:
    """What the server answers. A key is a method and a path; a value is JSON, text, a status with JSON, or a function
    that makes one of these from a request.

    A watch is asked for as `WATCH`; its value lists the objects, each in an event of its own.
    """

    def __init__(self, server: HTTPServer, folder: Path) -> None:
        version = {"major": "1", "minor": "34", "gitVersion": "v1.34.4"}
        rest = ("gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform")
        self.answers: dict[str, Any] = {"GET /version": {**version, **dict.fromkeys(rest, "x")}}
        self.asked: list[str] = []
        self.requests: list[Request] = []
        self.sent: list[Any] = []
        """The bodies of the requests that had one."""
        self.url = f"http://{server.host}:{server.port}"
        self.kubeconfig = kubeconfig(folder / "kubeconfig", self.url)
        server.expect_request(re.compile(".*")).respond_with_handler(self._answer)

    def has(self, path: str, *items: Any) -> None:
        """Give a list these items."""
        self.answers[f"GET {path}"] = {"items": list(items)}

    def refuses(self, request: str, status: int, message: str) -> None:
        """Answer a request as an API server refuses it."""
        self.answers[request] = (status, {"kind": "Status", "message": message})

    def _answer(self, request: Request) -> Response:
        asked = f"{'WATCH' if request.args.get('watch') else request.method} {request.path.rstrip('/')}"
        self.asked.append(asked)
        self.requests.append(request)
        if request.data:
            self.sent.append(json.loads(request.data))
        found = self.answers.get(asked, (404, {"kind": "Status", "message": f"{asked} not found"}))
        found = found(request) if callable(found) else found
        if asked.startswith("WATCH"):
            found = "".join(
                json.dumps({"type": "MODIFIED", "object": {"metadata": {}, **each}}) + "\n" for each in found
            )
        status, content = found if isinstance(found, tuple) else (200, found)
        if isinstance(content, str):
            return Response(content, status, mimetype="text/plain")
        return Response(json.dumps(content), status, mimetype="application/json")


def kubeconfig(path: Path, server: str) -> Path:
    """Write a kubeconfig with one context, `here`, for a server."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "not-a-secret"}}],
    }
    path.write_text(yaml.safe_dump(known))
    return path


def container(restarts: int = 0, **state: Any) -> dict[str, Any]:
    """A container's status, as the API has it, for example `terminated={"exitCode": 1}`."""
    named = {"name": "kaniko", "image": "x", "imageID": "x", "ready": False}
    return {**named, "restartCount": restarts, "state": state}
