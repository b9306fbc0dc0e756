"""docker:index/remoteImage:RemoteImage: an image that is there, or is pulled."""

from typing import Any, ClassVar

from .engine import failing_as
from .resource import Made, ResourceType, Say, State
from .schema import Field, Fields


class RemoteImage(ResourceType):
    """An image by name. It stays on the engine: a container may use it that the stack does not know."""

    fields: ClassVar[Fields] = {
        "name": Field(required=True, replaces=True),
        "keepLocally": Field(only=True),
        "imageId": Field(output=True),
        "repoDigest": Field(output=True),
    }
    deletes_first: ClassVar[bool] = False

    def create(self, planned: State, say: Say) -> Made:
        """Find the image, or pull it."""
        name = planned["name"]
        there = self._engine.image(name)
        if there is None:
            with failing_as(f"unable to pull image {name}"):
                for _ in self._engine.followed(self._engine.client.pull(name, stream=True, decode=True)):
                    """Nothing of it is shown."""
                there = self._engine.client.inspect_image(name)  # type: ignore[no-untyped-call]
        return _made(planned, there)

    def read(self, id_: str, state: State) -> Made | None:
        """Look for the image by its name."""
        there = self._engine.image(state["name"])
        return _made(state, there) if there else None


def _made(state: State, image: dict[str, Any]) -> Made:
    known = {"imageId": image["Id"], "repoDigest": (image.get("RepoDigests") or [""])[0]}
    return Made(f"{image['Id']}{state['name']}", {**state, **known})
