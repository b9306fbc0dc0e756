"""docker:index/image:Image: an image built on the engine from a local context."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from .. import diff
from ..provider import Made, ResourceType, State
from ..rpc import Log, PluginError
from ..schema import RESERVED, Failure, Fields, check, flag, listing, mapping, record, text
from ..values import Secret, has_unknown
from .build import build_image
from .build_context import archive, digest

if TYPE_CHECKING:
    from .engine import Engine

_BUILDERS = {"BuilderV1": "1", "BuilderBuildKit": "2"}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def _builder(value: str) -> str | None:
    return None if value in _BUILDERS else f"must be one of {', '.join(_BUILDERS)}, and is {value!r}"


def _pushes(value: bool) -> str | None:  # noqa: FBT001 (a rule takes the value alone)
    return None if value else "pushing is not implemented by the bundled plugin: set skipPush to true"


def _builds_on_preview(value: bool) -> str | None:  # noqa: FBT001 (a rule takes the value alone)
    return "building in a preview is not implemented by the bundled plugin: leave it out" if value else None


_BUILD: Fields = {
    "context": text(default="."),
    "dockerfile": text(),
    "contextDigest": text(),
    "args": mapping(),
    "target": text(),
    "platform": text(),
    "builderVersion": text(rule=_builder),
    "addHosts": listing(text()),
    "network": text(),
}


class Image(ResourceType):
    """A built image. Nothing replaces it: a change builds again, under the same id, its name.

    Its state keeps its inputs under `__inputs`, as the official plugin does, and a change is one of inputs.
    """

    fields: ClassVar[Fields] = {
        "imageName": text(required=True),
        "skipPush": flag(rule=_pushes),
        "buildOnPreview": flag(rule=_builds_on_preview),
        "build": record(_BUILD),
    }

    def __init__(self, engine: Engine, log: Log) -> None:
        """Act on `engine`; the build's output goes to `log`."""
        self._engine = engine
        self._log = log

    def check(self, inputs: dict[str, Any], log: Log, urn: str) -> tuple[dict[str, Any], list[Failure]]:
        """Check the inputs, and hash the context, so that a changed file is a changed input."""
        checked, failures = check(self.fields, inputs)
        if not failures and checked.get("skipPush") is None:
            failures.append(Failure("skipPush", str(_pushes(value=False))))
        if failures or (has_unknown(checked.get("build")) and not isinstance(checked["build"], dict)):
            return _without_defaults(checked), failures
        given = checked.setdefault("build", {"context": "."})
        if not has_unknown(given["context"]) and not has_unknown(given.get("dockerfile")):
            dockerfile = given.setdefault("dockerfile", os.path.join(given["context"], "Dockerfile"))
            if failure := _missing(given["context"], dockerfile):
                return _without_defaults(checked), [failure]
            given["contextDigest"] = digest(Path(given["context"]), Path(dockerfile))
        if not given.get("platform"):
            given["platform"] = f"linux/{_ARCHITECTURES.get(platform.machine(), platform.machine())}"
            hint = "set `platform` on the image's build to choose another"
            log.send(f"Building your image for {given['platform']} architecture; {hint}", urn=urn)
        checked.setdefault("buildOnPreview", False)
        return _without_defaults(checked), []

    def compare(self, state: State, inputs: dict[str, Any]) -> diff.Differences:
        """Compare the recorded inputs with the new ones."""
        found = diff.Differences()
        old = state.get("__inputs") or {}
        for name in sorted({*old, *inputs} - RESERVED):
            if old.get(name) != inputs.get(name):
                change: diff.Change = "add" if name not in old else "delete" if name not in inputs else "update"
                found.paths[name] = (change, False)
        return found

    def preview(self, inputs: dict[str, Any], state: State | None) -> State:
        """Give the inputs alone: every output is unknown until the image is built."""
        del state
        return inputs

    def inputs_of(self, inputs: dict[str, Any], state: State) -> dict[str, Any]:
        """Keep the inputs: an image is not looked at again."""
        return inputs or dict(state.get("__inputs") or {})

    def create(self, planned: State, urn: str) -> Made:
        """Build the image."""
        given = planned["build"]
        context, dockerfile = Path(given["context"]), Path(given["dockerfile"])
        packed, name = archive(context, dockerfile)
        parameters = {
            "t": planned["imageName"],
            "dockerfile": name,
            "version": _BUILDERS[given.get("builderVersion") or "BuilderBuildKit"],
            "buildargs": json.dumps(given.get("args") or {}),
            "target": given.get("target") or "",
            "platform": given["platform"],
            "networkmode": given.get("network") or "",
            "extrahosts": ",".join(given.get("addHosts") or ()),
            "rm": "1",
            # The container of a step that fails goes too.
            "forcerm": "1",
        }
        build_image(
            self._engine,
            packed,
            {key: value for key, value in parameters.items() if value},
            lambda line: self._log.send(line, urn=urn, ephemeral=True),
        )
        built = self._engine.inspect_image(planned["imageName"])
        outputs = {
            "dockerfile": os.path.relpath(dockerfile, context),
            "context": given["context"],
            "baseImageName": planned["imageName"],
            "registryServer": "",
            "imageName": planned["imageName"],
            "platform": given["platform"],
            "repoDigest": built["Id"],
            "__inputs": Secret(planned),
        }
        return Made(planned["imageName"], outputs)

    def read(self, id_: str, state: State) -> Made | None:
        """Return what is recorded: the official plugin does not look at a built image again."""
        if not state:
            raise PluginError(f"{id_}: a built image cannot be imported; declare it, and it is built")
        if "__inputs" in state:
            state = {**state, "__inputs": Secret(state["__inputs"])}
        return Made(id_, state)

    def update(self, id_: str, state: State, planned: State, urn: str) -> State:
        """Build again."""
        del id_, state
        return self.create(planned, urn).state

    def delete(self, id_: str, state: State) -> None:
        """Leave the image on the engine, as the official plugin does."""


def _without_defaults(inputs: dict[str, Any]) -> dict[str, Any]:
    """Drop the marks of defaults: this type's state has none."""
    kept = {key: value for key, value in inputs.items() if key != "__defaults"}
    return {key: _without_defaults(value) if isinstance(value, dict) else value for key, value in kept.items()}


def _missing(context: str, dockerfile: str) -> Failure | None:
    if not Path(context).is_dir():
        return Failure("build.context", f"there is no folder {context!r} (looked in {Path.cwd()})")
    if Path(dockerfile).is_file():
        return None
    near = os.path.join(context, dockerfile)
    hint = f"; try setting `dockerfile` to {near!r}" if Path(near).is_file() else ""
    return Failure("build.dockerfile", f"could not open dockerfile at relative path {dockerfile!r}{hint}")
