"""A Docker engine that only answers: the two listings that the preflight reads, over a real unix socket."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from werkzeug import Request, Response

from components import labels
from tests.support import servers


@contextmanager
def serving(path: Path, answer: Callable[[str], tuple[int, object]]) -> Iterator[str]:
    """Answer GET requests at `path` with the status and JSON that `answer` gives for a target; give the host."""

    def respond(request: Request) -> Response:
        status, body = answer(str(request.environ["REQUEST_URI"]))
        return Response(json.dumps(body), status, mimetype="application/json")

    with servers.serving(respond, f"unix://{path}"):
        yield f"unix://{path}"
    path.unlink(missing_ok=True)


@contextmanager
def listening(
    path: Path,
    *,
    containers: list[Mapping[str, Any]] | None = None,
    volumes: Mapping[str, Any] | None = None,
    networks: Mapping[str, Any] | None = None,
    images: Mapping[str, Any] | None = None,
) -> Iterator[str]:
    """Answer at `path` with these containers, volumes, networks and images; give the host as settings name it."""
    kinds = {"volumes": volumes, "networks": networks, "images": images}

    def answer(target: str) -> tuple[int, object]:
        if target == "/version":
            return 200, {"Os": "linux", "Arch": "arm64"}
        if target == "/containers/json?all=1":
            return 200, containers or []
        [_, kind, name, *_] = target.split("/")
        if kind not in kinds:
            return 500, {"message": f"not planned: {target}"}
        known = kinds[kind] or {}
        return (200, known[name]) if name in known else (404, {"message": f"get {name}: no such {kind[:-1]}"})

    with serving(path, answer) as host:
        yield host


def container(  # noqa: PLR0913 - all by keyword
    name: str,
    *,
    owner: str | None = None,
    port: int | None = None,
    ip: str = "127.0.0.1",
    volume: str | None = None,
    state: str = "running",
    network: str = "bridge",
) -> dict[str, Any]:
    """Return a container as the engine lists it; `owner` is project/stack, with `#id` behind it the owner's id."""
    return {
        "Id": name.encode().hex().ljust(64, "0"),
        "ImageID": f"sha256:{name}",
        "State": state,
        "NetworkSettings": {"Networks": {network: {}}},
        "Names": [f"/{name}"],
        "Labels": _labels(owner) or {},
        "Mounts": [{"Type": "volume", "Name": volume}] if volume else [],
        "Ports": [{"IP": ip, "PrivatePort": 8080, "PublicPort": port, "Type": "tcp"}] if port else [],
    }


def volume(name: str, *, owner: str | None = None) -> dict[str, Any]:
    """Give a volume, or a network, as the engine does; without labels it says null."""
    return {"Name": name, "Labels": _labels(owner)}


def _labels(owner: str | None) -> dict[str, str] | None:
    name, _, identity = (owner or "").partition("#")
    project, _, stack = name.partition("/")
    return {**labels.of(project, stack), **({labels.OWNER: identity} if identity else {})} if owner else None
