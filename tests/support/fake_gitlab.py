"""A GitLab as a runner sees it: the four calls of its API that a job takes, and a repository to clone."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

import yaml
from werkzeug import Request, Response

from tests.support import servers
from tests.support.git import git

PROJECT = "team/hello"
JOB = Template(Path(__file__).with_name("gitlab_job.yaml").read_text())


@dataclass
class FakeGitlab:
    """Hands out each job once, and keeps what the runner says of it."""

    token: str
    folder: Path
    """What is served as files: the repository."""

    url: str = ""
    waiting: list[dict[str, Any]] = field(default_factory=list)
    verified: list[str] = field(default_factory=list)
    """The system ids of the runners that asked for work or whether their token holds."""

    traces: dict[str, str] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    """By the job's number, its last state: `running`, `success`, `failed`."""

    def offer(self, number: int, job: Mapping[str, Any]) -> None:
        """Let a runner have a job, of which `script`, `image`, `services` and `variables` are as in .gitlab-ci.yml."""
        commit = self.commit()
        names = {"NUMBER": number, "URL": self.url, "COMMIT": commit, "SHORT": commit[:8]}
        made = yaml.safe_load(JOB.substitute(names, PROJECT=PROJECT, SLUG=PROJECT.replace("/", "-")))
        variables = {**made["variables"], **job.get("variables", {})}
        made["variables"] = [{"key": key, "value": value, "public": True} for key, value in variables.items()]
        made["steps"][0]["script"] = [*job.get("before_script", ()), *job["script"]]
        made |= {"image": _image(job.get("image", "")), "services": [*map(_image, job.get("services", ()))]}
        self.waiting.append(made)

    def commit(self) -> str:
        """Give the repository's last commit."""
        return git(self.folder / f"{PROJECT}.git", "rev-parse", "main")

    def answer(self, request: Request) -> Response:
        """Answer as GitLab does; what is not of its API is a file of the repository."""
        if not request.path.startswith("/api/"):
            return servers.file(self.folder, request)
        number = request.path.split("/")[4]
        if request.method == "PATCH":
            start = int(request.headers["Content-Range"].partition("-")[0])
            text = request.get_data().decode(errors="replace")
            self.traces[number] = self.traces.get(number, "")[:start] + text
            return Response(status=202, headers={"Job-Status": "running", "Range": f"0-{len(self.traces[number])}"})
        body = request.get_json(force=True)
        if request.method == "PUT":
            self.states[number] = str(body.get("state"))
            return Response()
        return self._asked(request.path, body)

    def _asked(self, path: str, body: Mapping[str, Any]) -> Response:
        """Answer a runner that asks whether its token holds, or for a job."""
        if body.get("token") != self.token:
            return _json({"message": "403 Forbidden"}, 403)
        self.verified.append(str(body.get("system_id")))
        if path != "/api/v4/jobs/request":
            return _json({"id": 1, "token": self.token}, 200)
        if not self.waiting:
            return Response(status=204)
        job = self.waiting.pop(0)
        self.states[str(job["id"])] = "pending"
        return _json(job, 201)


def _json(body: Any, status: int) -> Response:
    return Response(json.dumps(body), status, mimetype="application/json")


def _image(value: str | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(value, str):
        return {"name": value}
    return {**value, "entrypoint": value.get("entrypoint")}


@contextmanager
def serve(address: str, token: str, folder: Path, source: Path) -> Iterator[FakeGitlab]:
    """Serve a folder's files as a repository on a free port of this address. Jobs' containers must reach it."""
    work, bare = folder / "work", folder / f"{PROJECT}.git"
    shutil.copytree(source, work)
    for words in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message=sources")):
        git(work, *words)
    git(folder, "clone", "--quiet", "--bare", str(work), str(bare))
    git(bare, "update-server-info")
    fake = FakeGitlab(token, folder)
    with servers.serving(fake.answer, address) as fake.url:
        yield fake
