"""A GitLab as a runner sees it: the four calls of its API that a job takes, and a repository to clone."""

import http.server
import json
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROJECT = "team/hello"


@dataclass
class FakeGitlab:
    """Hands out each job once, and keeps what the runner says of it."""

    url: str
    token: str
    folder: Path
    """What is served as files: the repository."""

    waiting: list[dict[str, Any]] = field(default_factory=list)
    verified: list[str] = field(default_factory=list)
    """The system ids of the runners that asked for work or whether their token holds."""

    refused: int = 0
    traces: dict[str, str] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    """By the job's number, its last state: `running`, `success`, `failed`."""

    def offer(self, number: int, job: Mapping[str, Any]) -> None:
        """Let a runner have a job, of which `script`, `image`, `services` and `variables` are as in .gitlab-ci.yml."""
        self.waiting.append(self._job(number, job))

    def _job(self, number: int, job: Mapping[str, Any]) -> dict[str, Any]:
        repository = f"{self.url}/{PROJECT}.git"
        given = {
            "CI_PROJECT_PATH": PROJECT,
            "CI_PROJECT_PATH_SLUG": PROJECT.replace("/", "-"),
            "CI_PROJECT_NAME": "hello",
            "CI_PROJECT_DIR": f"/builds/{PROJECT}",
            "CI_COMMIT_SHORT_SHA": self.commit()[:8],
            "CI_COMMIT_SHA": self.commit(),
            "CI_SERVER_URL": self.url,
            # Files are served as they are, which a shallow clone does not take.
            "GIT_DEPTH": "0",
            **job.get("variables", {}),
        }
        return {
            "id": number,
            "token": f"job-token-{number}",
            "allow_git_fetch": True,
            "job_info": {"id": number, "name": "build", "stage": "build", "project_id": 1, "project_name": "hello"},
            "git_info": {
                "repo_url": repository,
                "ref": "main",
                "sha": self.commit(),
                "before_sha": "0" * 40,
                "ref_type": "branch",
                "refspecs": ["+refs/heads/*:refs/remotes/origin/*"],
                "depth": 0,
            },
            "runner_info": {"timeout": 600},
            "variables": [{"key": key, "value": value, "public": True} for key, value in given.items()],
            "steps": [
                {
                    "name": "script",
                    "script": [*job.get("before_script", ()), *job["script"]],
                    "timeout": 600,
                    "when": "on_success",
                    "allow_failure": False,
                }
            ],
            "image": _image(job.get("image", "")),
            "services": [_image(service) for service in job.get("services", ())],
            "artifacts": [],
            "cache": [],
            "credentials": [],
            "dependencies": [],
            "features": {"trace_sections": True},
        }

    def commit(self) -> str:
        """Give the repository's last commit."""
        return _git(self.folder / f"{PROJECT}.git", "rev-parse", "main").strip()


def _image(value: str | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(value, str):
        return {"name": value}
    return {**value, "entrypoint": value.get("entrypoint")}


def _git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def repository(folder: Path, source: Path) -> None:
    """Make a repository of a folder's files, at the place where PROJECT is served from."""
    work = folder / "work"
    work.mkdir(parents=True)
    _git(work, "init", "--quiet")
    for path in source.rglob("*"):
        if path.is_file():
            target = work / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    _git(work, "add", "--all")
    _git(work, "commit", "--quiet", "--message=sources")
    bare = folder / f"{PROJECT}.git"
    bare.parent.mkdir(parents=True)
    _git(folder, "clone", "--quiet", "--bare", str(work), str(bare))
    _git(bare, "update-server-info")


class _Server(http.server.ThreadingHTTPServer):
    fake: FakeGitlab


class _Handler(http.server.SimpleHTTPRequestHandler):
    @property
    def fake(self) -> FakeGitlab:
        """The GitLab that this is a request to."""
        assert isinstance(self.server, _Server)
        return self.server.fake

    def translate_path(self, path: str) -> str:
        return str(self.fake.folder / path.partition("?")[0].lstrip("/"))

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = self._body()
        if body.get("token") != self.fake.token:
            self.fake.refused += 1
            self._say(403, {"message": "403 Forbidden"})
            return
        self.fake.verified.append(str(body.get("system_id")))
        if self.path != "/api/v4/jobs/request":
            self._say(200, {"id": 1, "token": self.fake.token})
        elif self.fake.waiting:
            job = self.fake.waiting.pop(0)
            self.fake.states[str(job["id"])] = "pending"
            self._say(201, job)
        else:
            self._say(204)

    def do_PATCH(self) -> None:
        number, text = self.path.split("/")[4], self._text()
        start = int(self.headers["Content-Range"].partition("-")[0])
        self.fake.traces[number] = self.fake.traces.get(number, "")[:start] + text
        self._say(202, headers={"Job-Status": "running", "Range": f"0-{len(self.fake.traces[number])}"})

    def do_PUT(self) -> None:
        self.fake.states[self.path.split("/")[4]] = str(self._body().get("state"))
        self._say(200)

    def _text(self) -> str:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace")

    def _body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._text() or "{}")
        return found

    def _say(self, status: int, body: Any = None, headers: Mapping[str, str] | None = None) -> None:
        text = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@contextmanager
def serve(address: str, token: str, folder: Path, source: Path) -> Iterator[FakeGitlab]:
    """Serve on a free port of this address. Jobs' containers must reach it; nobody else need."""
    repository(folder, source)
    with _Server((address, 0), _Handler) as server:
        server.fake = FakeGitlab(f"http://{address}:{server.server_address[1]}", token, folder)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.fake
        finally:
            server.shutdown()
            thread.join()
