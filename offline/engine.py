"""What the stand-in images need of a Docker engine, through the docker SDK."""

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import docker
import docker.errors
import requests

from offline import archive, binaries
from setup import console
from setup.console import OpsError

PULL_SECONDS = 15
"""How long a registry may keep us waiting for its first word. A closed network mostly says no within a second."""
ENGINE_SECONDS = 120
"""How long the engine may take over 45 MB of image, on a slow disk."""


def inspect(host: str, image: str) -> dict[str, Any]:
    """What the engine says of an image; empty if it has no such image."""
    with _client(host) as client:
        try:
            return dict(client.images.get(image).attrs)
        except docker.errors.ImageNotFound:
            return {}


def pull(host: str, image: str) -> str:
    """Pull an image. Returns why it can't be pulled, in a few words, or nothing if it was."""
    title, expect = f"pulling {image}", f"gives up after {PULL_SECONDS} s without an answer"
    try:
        with console.step(title, expect), _client(host, PULL_SECONDS) as hasty, _client(host) as patient:
            # For the manifest first: a registry that can't be reached is told within seconds from one that is slow.
            api: Any = hasty.api  # this method has no types
            api.inspect_distribution(image)
            patient.images.pull(image)
    except docker.errors.APIError as refused:
        return str(refused.explanation or refused).strip()
    except requests.RequestException:
        return f"no answer within {PULL_SECONDS} s"
    return ""


def load(host: str, name: str, entries: Sequence[archive.Entry], config: Mapping[str, Any]) -> None:
    """Put an image of these files on the engine, under this name. The one that had the name goes, unless it is in use.

    Raises:
        OpsError: when the engine is for another processor or refuses.
    """
    ours = binaries.architecture()
    with _client(host) as client, tempfile.TemporaryFile() as file:
        theirs = client.version().get("Arch")
        if theirs != ours:
            raise OpsError(
                f"The engine at {host} runs on {theirs}, and the image {name} would be made for this machine, {ours}.",
                "Run this on a machine like the engine's.",
            )
        with console.step(f"putting the image {name} on the engine", "a few seconds"):
            archive.write(file, name=name, entries=entries, config=config, architecture=ours)
            file.seek(0)
            before = inspect(host, name).get("Id")
            try:
                client.images.load(file)
            except docker.errors.APIError as refused:
                raise OpsError(f"The engine does not take the image {name}: {refused.explanation}") from refused
        if before and before != inspect(host, name).get("Id"):
            with contextlib.suppress(docker.errors.APIError):  # a container still uses it
                client.images.remove(before)


def _client(host: str, seconds: int = ENGINE_SECONDS) -> contextlib.closing[docker.DockerClient]:
    return contextlib.closing(docker.DockerClient(base_url=host, timeout=seconds))
