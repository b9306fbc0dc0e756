"""A web server that behaves as Jenkins does where a client can go wrong: starting, sessions, crumbs, queue, log."""

import base64
import json
import re
import secrets
import threading
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

USER, PASSWORD = "admin", "pässword of 16+"


@dataclass
class FakeJenkins:
    """What the server answers. A test sets it up before it asks, and looks at `requests` afterwards."""

    job: str = "sample"
    starting: int = 0
    """How many requests are answered with 503 first."""
    crumbs: bool = True
    seeded_after: int = 0
    """How many requests for a build find no job yet."""
    queued: int = 1
    """How many questions for the queue entry find it waiting."""
    forgets_items: bool = False
    cancelled: bool = False
    log: bytes = "Grüße\nThis is a simple file.\nFinished: SUCCESS\n".encode()
    piece: int = 7
    """How many bytes of the log appear between two questions: characters are cut in the middle."""
    result: str = "SUCCESS"
    lags: int = 1
    """How many questions after its log's end still find the build running, without a result."""
    root_url: str = "http://jenkins.example:8080"
    """What Jenkins believes its address to be. Nobody may connect to it."""
    never_ends: bool = False
    requests: list[str] = field(default_factory=list)
    sessions: dict[str, str] = field(default_factory=dict)
    builds: int = 0

    def forget_sessions(self) -> None:
        """What a restart does."""
        self.sessions.clear()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    jenkins: FakeJenkins

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def _answer(self, status: int, body: object = "", **headers: str) -> None:
        data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _page(self, status: int, title: str) -> None:
        self._answer(
            status, f"<html><head><title>{title}</title></head></html>", Content_Type="text/html;charset=utf-8"
        )

    def _session(self) -> str:
        cookie = SimpleCookie(self.headers.get("Cookie", "")).get("JSESSIONID.1")
        return cookie.value if cookie and cookie.value in self.jenkins.sessions else ""

    def _refused(self) -> bool:
        jenkins = self.jenkins
        jenkins.requests.append(f"{self.command} {self.path}")
        if jenkins.starting > 0:
            jenkins.starting -= 1
            self._page(503, "Starting Jenkins")
            return True
        sent = self.headers.get("Authorization")
        right = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if sent is not None and sent != right:
            self._answer(401, "wrong", WWW_Authenticate='Basic realm="Jenkins"')
            return True
        session = self._session()
        crumb = self.headers.get("Jenkins-Crumb")
        if self.command == "POST" and jenkins.crumbs and (not session or crumb != jenkins.sessions[session]):
            self._page(403, "Error 403 No valid crumb was included in the request")
            return True
        if sent is None and self.path != "/login":
            self._page(403, "Authentication required")
            return True
        return False

    def do_GET(self) -> None:
        if self._refused():
            return
        jenkins, path = self.jenkins, self.path
        if path == "/login":
            self._page(200, "Sign in - Jenkins")
        elif path == "/crumbIssuer/api/json" and jenkins.crumbs:
            session, crumb = secrets.token_hex(8), secrets.token_hex(8)
            jenkins.sessions[session] = crumb
            cookie = f"JSESSIONID.1={session}; Path=/; HttpOnly"
            self._answer(200, {"crumb": crumb, "crumbRequestField": "Jenkins-Crumb"}, Set_Cookie=cookie)
        elif match := re.fullmatch(r"/queue/item/(\d+)/api/json", path):
            self._item(int(match[1]))
        elif path.startswith(f"/job/{jenkins.job}/api/json"):
            self._answer(200, {"builds": [{"number": n, "queueId": 40 + n} for n in range(jenkins.builds, 0, -1)]})
        elif match := re.fullmatch(rf"/job/{jenkins.job}/(\d+)/api/json.*", path):
            self._build(int(match[1]))
        elif match := re.fullmatch(rf"/job/{jenkins.job}/\d+/logText/progressiveText\?start=(\d+)", path):
            self._log(int(match[1]))
        else:
            self._page(404, "Not Found - Jenkins")

    def do_POST(self) -> None:
        if self._refused():
            return
        jenkins = self.jenkins
        if self.path != f"/job/{jenkins.job}/build?delay=0sec":
            self._page(404, "Not Found - Jenkins")
        elif jenkins.seeded_after > 0:
            jenkins.seeded_after -= 1
            self._page(404, "Not Found - Jenkins")
        else:
            jenkins.builds += 1
            self._answer(201, "", Location=f"{jenkins.root_url}/queue/item/{40 + jenkins.builds}/")

    def _item(self, item: int) -> None:
        jenkins = self.jenkins
        if jenkins.forgets_items:
            self._page(404, "Not Found - Jenkins")
        elif jenkins.cancelled:
            self._answer(200, {"cancelled": True})
        elif jenkins.queued > 0:
            jenkins.queued -= 1
            self._answer(200, {"why": "Waiting for next available executor"})
        else:
            number = item - 40
            executable = {"number": number, "url": f"{jenkins.root_url}/job/{jenkins.job}/{number}/"}
            self._answer(200, {"executable": executable})

    def _build(self, number: int) -> None:
        jenkins = self.jenkins
        running = jenkins.never_ends or jenkins.lags > 0
        jenkins.lags -= 1
        answer: dict[str, Any] = {"number": number, "building": running, "result": None if running else jenkins.result}
        self._answer(200, answer)

    def _log(self, start: int) -> None:
        jenkins = self.jenkins
        end = min(start + jenkins.piece, len(jenkins.log))
        headers = {"X_Text_Size": str(end), "Content_Type": "text/plain;charset=utf-8"}
        if end < len(jenkins.log) or jenkins.never_ends:
            headers["X_More_Data"] = "true"
        self._answer(200, jenkins.log[start:end], **headers)


class Server:
    """The fake on a port of its own, as a context manager."""

    def __init__(self, jenkins: FakeJenkins) -> None:
        """Take a free port; requests are answered from `start` on."""
        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"jenkins": jenkins}))
        self.url = f"http://127.0.0.1:{self.httpd.server_port}"
        self.thread = threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.httpd.shutdown()
        self.thread.join()
        self.httpd.server_close()
