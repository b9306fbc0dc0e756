"""docker:index/remoteImage:RemoteImage: an image that is there, or is pulled."""

from typing import Any, ClassVar

from ..rpc import PluginError
from .engine import failing_as
from .resource import Made, ResourceType, Say, State
from .schema import Fields, only, text


class RemoteImage(ResourceType):
    """An image by name. It stays on the engine: a container may use it that the stack does not know."""

    fields: ClassVar[Fields] = {
        "name": text(required=True, replaces=True),
        "keepLocally": only(allowed=True, required=True),
        "imageId": text(output=True),
        "repoDigest": text(output=True),
    }
    deletes_first: ClassVar[bool] = False

    def create(self, planned: State, say: Say) -> Made:
        """Find the image, or pull it."""
        name = planned["name"]
        there = self._engine.image(name)
        if there is None:
            with failing_as(f"unable to pull image {name}"):
                self._pull(name)
                there = self._engine.image(name)
        if there is None:
            raise PluginError(f"unable to pull image {name}: it is not there")
        return _made(planned, there)

    def read(self, id_: str, state: State) -> Made | None:
        """Look for the image by its name."""
        state = {"keepLocally": True, "name": id_, **state}
        there = self._engine.image(state["name"])
        return _made(state, there) if there else None

    def _pull(self, name: str) -> None:
        for event in self._engine.client.pull(name, stream=True, decode=True):
            if self._engine.cancelled.is_set():
                raise PluginError(f"unable to pull image {name}: the update was cancelled")
            if "error" in event:
                raise PluginError(f"unable to pull image {name}: {event['error']}")


def _made(state: State, image: dict[str, Any]) -> Made:
    """Give the image with the digest by which its repository knows it: the first when there are several."""
    digests = [str(digest) for digest in image.get("RepoDigests") or ()]
    own = [digest for digest in digests if digest.startswith(state["name"].split(":", 1)[0])]
    known = {"imageId": image["Id"], "repoDigest": (own or digests or [""])[0]}
    return Made(f"{image['Id']}{state['name']}", {**state, **known})
