"""Tries out what an engine in a container takes: fewer and more rights, other places and drivers for its images."""

from __future__ import annotations

import contextlib
import re
import time
from typing import TYPE_CHECKING, Any, Final

import docker
import docker.errors

from tools.compare.figures import Nested, Trial

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SECONDS: Final = 30
"""How long an engine may take until it answers. One that can, does within five."""
_LOOK_SECONDS: Final = 0.2
_NAME: Final = "ci-bench-compare-trial"
_DOCKER: Final = "docker --host unix:///var/run/docker.sock"
_USE: Final = f"""\
set -e
tar -cf - -C / $(cd / && ls -d bin lib 2> /dev/null) | {_DOCKER} import - ci-trial:1 > /dev/null
{_DOCKER} run --rm --network none ci-trial:1 true
"""
"""Keeps an image and runs it: a layer on a layer, mounted."""
_TROUBLE: Final = re.compile(r"can't|fail|error(?!ed)|denied|refused|not permitted|not supported", re.IGNORECASE)
_LONGEST: Final = 300
_ELSEWHERE: Final = "--data-root=/ci-trial"
"""A folder of the container's own file system. The usual one is a volume, as the image says."""


def tried(client: docker.DockerClient, engine: Mapping[str, Any]) -> Nested:
    """Try with the image of a deployed engine.

    Args:
        client: of the host's engine.
        engine: what the host's engine says of the deployed one's container.
    """
    plain: dict[str, Any] = {"CapAdd": None, "SecurityOpt": None, "Privileged": False}
    as_deployed = {key: engine["HostConfig"].get(key) for key in plain}
    about = client.info()
    inside = client.containers.get(engine["Id"])
    driver = _told(inside, f"{_DOCKER} info --format '{{{{.Driver}}}}'")
    ground = _told(inside, "stat -f -c %T /var/lib/docker")
    outer = about["Driver"]
    own = "the container's own file system"

    def trial(what: str, rights: Mapping[str, Any], *options: str) -> Trial:
        said = _try(client, engine, rights, options)
        return Trial(what=what, works=not said, said=said)

    rights = [trial("the rights of any container", plain), trial("`--privileged`", {**plain, "Privileged": True})]
    if not as_deployed["Privileged"]:
        fewer = {**as_deployed, "SecurityOpt": None}
        rights.append(trial("the same capabilities, but the engine's usual filter of system calls", fewer))

    return Nested(
        outer=outer,
        inner=driver,
        ground=f"a volume ({ground})",
        security=modules(about.get("SecurityOptions") or ()),
        rights=tuple(rights),
        storage=(
            trial(f"`overlay2` on {own} (`{outer}`)", as_deployed, _ELSEWHERE, "--storage-driver=overlay2"),
            trial(f"`vfs` on {own} (`{outer}`)", as_deployed, _ELSEWHERE, "--storage-driver=vfs"),
            trial("`vfs` on a volume", as_deployed, "--storage-driver=vfs"),
        ),
    )


def _try(
    client: docker.DockerClient, engine: Mapping[str, Any], rights: Mapping[str, Any], options: tuple[str, ...]
) -> str:
    """Start an engine and use it; give why that did not work, empty where it did."""
    remove(client)
    config = engine["Config"]
    deployed = rights["CapAdd"] is not None
    own_start = client.images.get(engine["Image"]).attrs["Config"]["Entrypoint"]
    api: Any = client.api  # this method has no types
    try:
        made = api.create_container_from_config(
            {
                **{key: config[key] for key in ("Image", "Env", "Labels")},
                # What the stack puts before the image's own start takes the rights that the stack gives.
                "Entrypoint": config["Entrypoint"] if deployed else own_start,
                "Cmd": [*(config["Cmd"] or ()), *options],
                "HostConfig": {**rights, "LogConfig": {"Type": "json-file", "Config": {}}},
            },
            _NAME,
        )
        container: Any = client.containers.get(made["Id"])
        container.start()
        if not _answers(container):
            return why(container.logs(tail=20).decode(errors="replace"))
        status, said = container.exec_run(["sh", "-c", _USE])
        return "" if status == 0 else why(said.decode(errors="replace"))
    except docker.errors.APIError as refused:
        return why(str(refused.explanation or refused))
    finally:
        remove(client)


def _answers(container: Any) -> bool:  # noqa: ANN401 - the SDK's, without types
    """Wait until the engine in a container answers; give up when the container ends, or takes too long."""
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        container.reload()
        if container.status != "running":
            return False
        with contextlib.suppress(docker.errors.APIError):  # it ends at this moment
            if container.exec_run(["sh", "-c", f"{_DOCKER} version"]).exit_code == 0:
                return True
        time.sleep(_LOOK_SECONDS)
    return False


def remove(client: docker.DockerClient) -> None:
    """Remove what was tried with, its volumes too."""
    with contextlib.suppress(docker.errors.NotFound):
        client.containers.get(_NAME).remove(force=True, v=True)


def _told(container: Any, line: str) -> str:  # noqa: ANN401 - the SDK's, without types
    return str(container.exec_run(["sh", "-c", line]).output.decode(errors="replace").strip())


def modules(options: Sequence[str]) -> tuple[str, ...]:
    """Give the names of what confines containers, as an engine says it of itself: `name=seccomp,profile=default`."""
    return tuple(option.removeprefix("name=").partition(",")[0] for option in options)


def why(said: str) -> str:
    """Give the line of what a program said that tells why it failed: the last one that sounds like it."""
    lines = [line.strip("| ") for line in said.splitlines() if line.strip("| ")]
    telling = [line for line in lines if _TROUBLE.search(line)]
    found = (telling or lines or ["it said nothing"])[-1]
    # As a quotation in a table's cell.
    return found.translate({ord('"'): "'", ord("`"): "'", ord("|"): "/"})[:_LONGEST]
