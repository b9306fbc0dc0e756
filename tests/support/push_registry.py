"""A registry of the test, with a log-in: takes pushes of the Docker engine and gives back what it has."""

import base64
import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from werkzeug import Request, Response

from tests.support.servers import serving

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@contextmanager
def serve(user: str, password: str) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Serve on a free port of 127.0.0.1, which engines take without TLS; give the address and its content by path."""
    content: dict[str, bytes] = {}
    login = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def answer(request: Request) -> Response:
        path, body = request.path, request.get_data()
        if request.headers.get("Authorization") != login:
            return Response(status=401, headers={"WWW-Authenticate": 'Basic realm="test"'})
        if request.method in {"GET", "HEAD"}:
            if path == "/v2/" or path in content:
                data = content.get(path, b"{}")
                digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
                kind = MANIFEST if "/manifests/" in path else "application/octet-stream"
                return Response(data, headers={"Docker-Content-Digest": digest}, content_type=kind)
            return Response(status=404)
        if "/manifests/" in path:
            digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
            content[path] = content[f"{path.rpartition('/')[0]}/{digest}"] = body
            return Response(status=201, headers={"Docker-Content-Digest": digest})
        # An upload: POST opens it, PATCH fills it, PUT closes it under its digest.
        upload = f"{path.rstrip('/')}/{secrets.token_hex(8)}" if request.method == "POST" else path
        content[upload] = (b"" if request.method == "POST" else content[upload]) + body
        if request.method == "PUT":
            digest = request.args["digest"]
            content[f"{path.partition('/uploads/')[0]}/{digest}"] = content[upload]
            return Response(status=201, headers={"Docker-Content-Digest": digest})
        ranges = {"Location": upload, "Range": f"0-{max(len(content[upload]) - 1, 0)}"}
        return Response(status=202, headers=ranges)

    with serving(answer) as url:
        yield url.removeprefix("http://"), content
