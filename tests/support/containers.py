"""Looks into containers of the machine's engine."""

import hashlib
import io
import json
import secrets
import subprocess
import tarfile

import docker
import pytest
from docker.models.containers import Container

from setup import engine as local_engine
from setup.console import OpsError


def client(host: str) -> docker.DockerClient:
    """Give a client of an engine; skip where none answers."""
    # Not asked by the SDK: where none answers it leaves a socket open, and that ends a run of pytest as an error.
    try:
        if not local_engine.version(host):
            pytest.skip(f"no Docker engine answers at {host}")
    except OpsError as closed:
        pytest.skip(closed.what)
    return docker.DockerClient(base_url=host, timeout=120)


def read(container: Container, path: str) -> str:
    """Give a file's text as it is, by the engine and not by a program that runs in the container."""
    chunks, _ = container.get_archive(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as packed:
        member = packed.extractfile(packed.next() or "")
        assert member is not None, path
        return member.read().decode()


def inside(container: str, *command: str, user: str = "") -> str:
    """Run a command in a container, as its own user or another; give what it printed. Fails where it fails."""
    words = ["docker", "exec", *(["--user", user] if user else []), container, *command]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


def load_old(container: str, *tags: str) -> str:
    """Load an image without files that was made in 2020 into the engine in a container; give its id."""
    about = {"architecture": "amd64", "os": "linux", "created": "2020-01-01T00:00:00Z", "rootfs": {"type": "layers"}}
    config = json.dumps({**about, "config": {"Cmd": ["x"], "Labels": {"made-for": secrets.token_hex(8)}}}).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": list(tags), "Layers": []}]).encode()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as packed:
        for name, content in {"config.json": config, "manifest.json": manifest}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    command = ["docker", "exec", "-i", container, "docker", "load"]
    subprocess.run(command, input=archive.getvalue(), check=True, capture_output=True)
    return f"sha256:{hashlib.sha256(config).hexdigest()}"
