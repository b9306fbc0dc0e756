"""docker:index/remoteImage:RemoteImage: an image that is there, or is pulled."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from ..provider import Made, ResourceType, State
from ..rpc import PluginError
from ..schema import Fields, flag, mapping, text, unordered
from .engine import Engine, explain

_ID = re.compile(r"(?P<image>sha256:[0-9a-f]{64})(?P<name>.+)", re.DOTALL)


def find_or_pull(engine: Engine, name: str, platform: str = "") -> dict[str, Any]:
    """Inspect an image by name or id, pulling it when the engine does not have it.

    Raises:
        PluginError: it is not there and cannot be pulled.
    """
    from docker.errors import APIError, ImageNotFound  # noqa: PLC0415

    client = engine.client()
    try:
        return engine.inspect_image(name)
    except ImageNotFound:
        pass
    try:
        for event in client.pull(
            name, platform=platform or None, auth_config=engine.login_for(name), stream=True, decode=True
        ):
            if engine.cancelled.is_set():
                raise PluginError(f"unable to pull image {name}: the update was cancelled")
            if "error" in event:
                raise PluginError(f"unable to pull image {name}: {event['error']}")
        return engine.inspect_image(name)
    except APIError as error:
        raise PluginError(f"unable to pull image {name}: {explain(error)}") from error


def repository_digest(name: str, image: dict[str, Any]) -> str:
    """Give the digest by which a repository knows the image: its own when there are several, "" when none."""
    digests = [str(digest) for digest in image.get("RepoDigests") or ()]
    own = [digest for digest in digests if digest.startswith(name.split(":", 1)[0])]
    return (own or digests or [""])[0]


class RemoteImage(ResourceType):
    """An image by name. `build` is not implemented: docker.Image builds."""

    fields: ClassVar[Fields] = {
        "name": text(required=True, replaces=True),
        "keepLocally": flag(),
        "forceRemove": flag(),
        "pullTriggers": unordered(text(), replaces=True),
        "triggers": mapping(replaces=True),
        "platform": text(replaces=True),
        "imageId": text(output=True),
        "repoDigest": text(output=True),
    }

    def __init__(self, engine: Engine) -> None:
        """Act on `engine`."""
        self._engine = engine

    def create(self, planned: State, urn: str) -> Made:
        """Find the image, or pull it."""
        del urn
        return _made(planned, find_or_pull(self._engine, planned["name"], planned["platform"] or ""))

    def read(self, id_: str, state: State) -> Made | None:
        """Look for the image by its name, which an id ends with."""
        from docker.errors import ImageNotFound  # noqa: PLC0415

        parts = _ID.fullmatch(id_)
        name = state.get("name") or (parts["name"] if parts else id_)
        try:
            found = self._engine.inspect_image(name)
        except ImageNotFound:
            return None
        known = {field: state.get(field) for field in self.fields}
        return _made({**known, "name": name}, found)

    def update(self, id_: str, state: State, planned: State, urn: str) -> State:
        """Record the new settings; they matter when the image is removed."""
        del id_, state
        return self.create(planned, urn).state

    def delete(self, id_: str, state: State) -> None:
        """Remove the image, unless it is to be kept."""
        del id_
        from docker.errors import APIError, ImageNotFound  # noqa: PLC0415

        if state.get("keepLocally"):
            return
        try:
            self._engine.client().remove_image(state["name"], force=bool(state.get("forceRemove")))
        except ImageNotFound:
            return
        except APIError as error:
            raise PluginError(f"Unable to remove Docker image: {explain(error)}") from error


def _made(state: State, image: dict[str, Any]) -> Made:
    id_ = f"{image['Id']}{state['name']}"
    digest = repository_digest(state["name"], image)
    return Made(id_, {**state, "id": id_, "imageId": image["Id"], "repoDigest": digest})
