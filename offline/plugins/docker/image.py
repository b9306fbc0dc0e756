"""docker:index/image:Image: an image built on the engine from a local context."""

import hashlib
import os
import platform
import stat
from collections import deque
from pathlib import Path
from typing import Any, ClassVar

from pulumi.runtime.proto.provider_pb2 import CheckFailure, PropertyDiff

from ..rpc import PluginError
from . import schema
from .engine import failing_as
from .resource import Made, ResourceType, Say, State
from .schema import Field, Fields
from .values import secret

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# Lines of a failed build that its error shows.
_SHOWN_LINES = 30


class Image(ResourceType):
    """A built image. Nothing replaces it: a change builds again, under the same id, its name.

    Its state keeps its inputs under `__inputs`, as the official plugin does, and a change is one of inputs. The
    engine's classic builder builds it, the only one that the SDK for Python knows.
    """

    fields: ClassVar[Fields] = {
        "imageName": Field(required=True),
        "skipPush": Field(only=True),
        "buildOnPreview": Field(only=False, default=False),
        "build": Field(
            {"context": Field(required=True), "dockerfile": Field(required=True), "args": Field(), "platform": Field()}
        ),
    }

    def check(self, inputs: dict[str, Any]) -> tuple[dict[str, Any], list[CheckFailure]]:
        """Check the inputs, and hash the context, so that a changed file is a changed input."""
        # The official plugin's state of this type has no marks of defaults.
        checked, failures = schema.check(self.fields, inputs)
        if not failures:
            given = checked["build"]
            given["contextDigest"] = digest(Path(given["context"]), Path(given["dockerfile"]))
            given["platform"] = (
                given.get("platform") or f"linux/{_ARCHITECTURES.get(platform.machine(), platform.machine())}"
            )
        return checked, failures

    def compare(self, state: State, inputs: dict[str, Any]) -> dict[str, int]:
        """Compare the recorded inputs with the new ones."""
        old = state.get("__inputs") or {}
        return {name: PropertyDiff.UPDATE for name in self.fields if old.get(name) != inputs.get(name)}

    def plan(self, inputs: dict[str, Any], prior: State) -> State:
        """Give the inputs alone: every output is unknown until the image is built."""
        return inputs

    def refreshed(self, inputs: dict[str, Any], state: State) -> dict[str, Any]:
        """Keep the inputs: an image is not looked at again."""
        return inputs

    def create(self, planned: State, say: Say) -> Made:
        """Build the image."""
        name = planned["imageName"]
        with failing_as("error building image"):
            self._build(name, planned["build"], say)
        built = self._engine.image(name)
        outputs = {"imageName": name, "repoDigest": built["Id"] if built else "", "__inputs": secret(planned)}
        return Made(name, outputs)

    def _build(self, name: str, given: dict[str, Any], say: Say) -> None:
        events = self._engine.client.build(
            path=given["context"],
            dockerfile=os.path.abspath(given["dockerfile"]),
            tag=name,
            buildargs=given.get("args"),
            platform=given["platform"],
            rm=True,
            forcerm=True,  # the container of a step that fails goes too
            decode=True,
            timeout=None,  # a step may print nothing for as long as it likes
        )
        last = deque[str](maxlen=_SHOWN_LINES)
        try:
            for event in self._engine.followed(events):
                for line in str(event.get("stream") or event.get("status") or "").splitlines():
                    if line.strip():
                        last.append(line)
                        say(line)
        except PluginError as error:
            raise PluginError("\n".join([str(error), *last])) from None

    def read(self, id_: str, state: State) -> Made:
        """Return what is recorded: the official plugin does not look at a built image again."""
        return Made(id_, {**state, "__inputs": secret(state["__inputs"])})

    def update(self, id_: str, state: State, planned: State, say: Say) -> State:
        """Build again."""
        return self.create(planned, say).state


def digest(context: Path, dockerfile: Path) -> str:
    """Hash the context as the official plugin does: names, modes and contents of its files and links, in order.

    The Dockerfile comes first, under that name and no mode. What .dockerignore leaves out is no part of it.
    """
    from docker.utils.build import PatternMatcher  # noqa: PLC0415

    ignore = context / ".dockerignore"
    lines = [line.strip() for line in ignore.read_text("utf-8-sig").splitlines()] if ignore.exists() else []
    patterns = [line for line in lines if line and not line.startswith("#")]
    matcher: Any = PatternMatcher(patterns)
    matcher.patterns.pop()  # the SDK's own, which takes .dockerignore in again
    found = [("Dockerfile", "----------", dockerfile.read_bytes())]
    for name in sorted(matcher.walk(context), key=lambda one: Path(one).parts):
        path = context / name
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            # Go writes a link's mode with another letter.
            found.append((name, stat.filemode(mode).replace("l", "L", 1), os.readlink(path).encode()))
        elif stat.S_ISREG(mode):
            found.append((name, stat.filemode(mode), path.read_bytes()))
    parts = (name.encode() + mode.encode() + hashlib.sha256(content).digest() for name, mode, content in found)
    return hashlib.sha256(b"\0".join([*parts, b""])).hexdigest()
