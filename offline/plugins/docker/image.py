"""docker:index/image:Image: an image built on the engine from a local context."""

import hashlib
import os
import platform
import stat
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from ..rpc import PluginError
from .engine import failing_as
from .resource import Made, ResourceType, Say, State
from .schema import DEFAULTS, Change, Failure, Fields, mapping, only, record, text
from .values import has_unknown, secret

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# Lines of a failed build that its error shows.
_SHOWN_LINES = 30
_BUILD: Fields = {"context": text(required=True), "dockerfile": text(required=True), "args": mapping()}


class Image(ResourceType):
    """A built image. Nothing replaces it: a change builds again, under the same id, its name.

    Its state keeps its inputs under `__inputs`, as the official plugin does, and a change is one of inputs. The
    engine's classic builder builds it, the only one that the SDK for Python knows.
    """

    fields: ClassVar[Fields] = {
        "imageName": text(required=True),
        "skipPush": only(allowed=True, required=True),
        "buildOnPreview": only(allowed=False, default=False),
        "build": record(_BUILD, required=True),
    }

    def check(self, inputs: dict[str, Any]) -> tuple[dict[str, Any], list[Failure]]:
        """Check the inputs, and hash the context, so that a changed file is a changed input."""
        checked, failures = super().check(inputs)
        given = checked.get("build")
        if not failures and isinstance(given, dict):
            known = not has_unknown([given["context"], given["dockerfile"]])
            if known and (failure := _missing(given["context"], given["dockerfile"])):
                failures.append(failure)
            elif known:
                given["contextDigest"] = digest(Path(given["context"]), Path(given["dockerfile"]))
            given["platform"] = f"linux/{_ARCHITECTURES.get(platform.machine(), platform.machine())}"
            # The official plugin's state of this type has no marks of defaults.
            del given[DEFAULTS]
        del checked[DEFAULTS]
        return checked, failures

    def compare(self, state: State, inputs: dict[str, Any]) -> dict[str, Change]:
        """Compare the recorded inputs with the new ones."""
        old = state.get("__inputs") or {}
        return {name: "update" for name in self.fields if old.get(name) != inputs.get(name)}

    def plan(self, inputs: dict[str, Any], prior: State) -> State:
        """Give the inputs alone: every output is unknown until the image is built."""
        return inputs

    def refreshed(self, inputs: dict[str, Any], state: State) -> dict[str, Any]:
        """Keep the inputs: an image is not looked at again."""
        return inputs

    def create(self, planned: State, say: Say) -> Made:
        """Build the image."""
        given = planned["build"]
        with failing_as("error building image"):
            self._build(planned["imageName"], given, say)
            built = self._engine.image(planned["imageName"])
        outputs = {
            "dockerfile": os.path.relpath(given["dockerfile"], given["context"]),
            "context": given["context"],
            "baseImageName": planned["imageName"],
            "registryServer": "",
            "imageName": planned["imageName"],
            "platform": given["platform"],
            "repoDigest": built["Id"] if built else "",
            "__inputs": secret(planned),
        }
        return Made(planned["imageName"], outputs)

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
        for event in events:
            if self._engine.cancelled.is_set():
                raise PluginError("error building image: the update was cancelled")
            if "error" in event:
                raise PluginError("\n".join([f"error building image: {event['error']}", *last]))
            for line in str(event.get("stream") or event.get("status") or "").splitlines():
                if line.strip():
                    last.append(line)
                    say(line)

    def read(self, id_: str, state: State) -> Made | None:
        """Return what is recorded: the official plugin does not look at a built image again."""
        if "__inputs" not in state:
            raise PluginError(f"{id_}: a built image cannot be imported; declare it, and it is built")
        return Made(id_, {**state, "__inputs": secret(state["__inputs"])})

    def update(self, id_: str, state: State, planned: State, say: Say) -> State:
        """Build again."""
        return self.create(planned, say).state


def _missing(context: str, dockerfile: str) -> Failure | None:
    if not Path(context).is_dir():
        return Failure("build.context", f"there is no folder {context!r} (looked in {Path.cwd()})")
    if Path(dockerfile).is_file():
        return None
    near = os.path.join(context, dockerfile)
    hint = f"; try setting `dockerfile` to {near!r}" if Path(near).is_file() else ""
    return Failure("build.dockerfile", f"could not open dockerfile at relative path {dockerfile!r}{hint}")


def digest(context: Path, dockerfile: Path) -> str:
    """Hash the context as the official plugin does: names, modes and contents of its files, in order.

    The Dockerfile comes first, under that name and no mode. What .dockerignore leaves out is no part of it.
    """
    total = hashlib.sha256()
    _add(total, "Dockerfile", "----------", dockerfile.read_bytes())
    for path in _files(context):
        full = context / path
        mode = full.lstat().st_mode
        content = os.readlink(full).encode() if stat.S_ISLNK(mode) else full.read_bytes()
        # Go writes a link's mode with another letter.
        _add(total, path, stat.filemode(mode).replace("l", "L", 1), content)
    return total.hexdigest()


def _add(total: "hashlib._Hash", name: str, mode: str, content: bytes) -> None:
    total.update(name.encode() + mode.encode() + hashlib.sha256(content).digest() + b"\0")


def _files(context: Path) -> Iterator[str]:
    """Yield the paths, relative to the context and in order, of the files and links that are not ignored."""
    from docker.utils.build import PatternMatcher  # type: ignore[attr-defined,unused-ignore]  # noqa: PLC0415

    ignore = context / ".dockerignore"
    lines = [line.strip() for line in ignore.read_text("utf-8-sig").splitlines()] if ignore.exists() else []
    matcher = PatternMatcher([line for line in lines if line and not line.startswith("#")])
    for path in sorted(context.rglob("*"), key=lambda one: one.relative_to(context).parts):
        inside = path.relative_to(context)
        if (path.is_symlink() or path.is_file()) and not matcher.matches(str(inside)):  # type: ignore[arg-type]
            yield str(inside)
