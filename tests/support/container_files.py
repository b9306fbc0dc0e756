"""Reads files out of a container as they are, by the engine and not by a program that runs in it."""

import io
import tarfile

from docker.models.containers import Container


def read(container: Container, path: str) -> str:
    """Give a file's text."""
    chunks, _ = container.get_archive(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as packed:
        member = packed.extractfile(packed.next() or "")
        assert member is not None, path
        return member.read().decode()
