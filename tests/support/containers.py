"""Looks into containers of the machine's engine."""

import io
import subprocess
import tarfile

from docker.models.containers import Container


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
