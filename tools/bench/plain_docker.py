"""Writes the `docker run` line of the container that a stack deployed. Pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SIMPLE: Final = {
    "user": "--user",
    "restart": "--restart",
    "logDriver": "--log-driver",
    "stopTimeout": "--stop-timeout",
}
_LISTS: Final = {"groupAdds": "--group-add", "envs": "--env", "securityOpts": "--security-opt"}
_MIB: Final = {"memory": "--memory", "memorySwap": "--memory-swap"}
_HEALTH: Final = {
    "interval": "--health-interval",
    "timeout": "--health-timeout",
    "startPeriod": "--health-start-period",
    "retries": "--health-retries",
}
_ELSEWHERE: Final = {"name", "image", "labels", "ports", "volumes", "uploads", "capabilities", "logOpts", "healthcheck"}
_PULUMI_ONLY: Final = {"mustRun", "privileged", "wait", "waitTimeout", "destroyGraceSeconds"}
"""What tells the plugin how to go about it, and `privileged`, which must be false."""


class NotTheSameError(Exception):
    """The container has an input that has no part in the line. The text names it."""


def words(container: Mapping[str, Any], image: str, files: Path) -> list[str]:
    """Give the words after `docker run`.

    Args:
        container: the container's inputs, by their names in the state.
        image: the image's reference.
        files: the folder of the container's texts, as `write_files` left it. They are mounted, where the plugin copies
            them in: `docker run` has no copying.

    Raises:
        NotTheSameError: for an input that this has no words for, since the two would not be the same container.
    """
    known = {*_SIMPLE, *_LISTS, *_MIB, *_ELSEWHERE, *_PULUMI_ONLY}
    if strange := sorted(set(container) - known):
        raise NotTheSameError(f"`docker run` is not given the container's {', '.join(strange)}")
    if container.get("privileged"):
        raise NotTheSameError("`docker run` is given no privilege, and the container has it")
    line = ["--detach", "--name", str(container["name"])]
    line += [word for name, flag in _SIMPLE.items() if name in container for word in (flag, str(container[name]))]
    line += [word for name, flag in _LISTS.items() for item in container.get(name, ()) for word in (flag, str(item))]
    line += [word for name, flag in _MIB.items() if name in container for word in (flag, f"{container[name]}m")]
    line += [word for drop in container.get("capabilities", {}).get("drops", ()) for word in ("--cap-drop", drop)]
    line += [word for key, value in container.get("logOpts", {}).items() for word in ("--log-opt", f"{key}={value}")]
    for label in container.get("labels", ()):
        line += ["--label", f"{label['label']}={label['value']}"]
    for port in container.get("ports", ()):
        line += ["--publish", f"{port['ip']}:{port['external']}:{port['internal']}"]
    for volume in container.get("volumes", ()):
        source = volume.get("volumeName") or volume["hostPath"]
        line += ["--volume", f"{source}:{volume['containerPath']}{':ro' if volume.get('readOnly') else ''}"]
    for number, upload in enumerate(container.get("uploads", ())):
        line += ["--volume", f"{files / str(number)}:{upload['file']}:ro"]
    return [*line, *_health(container.get("healthcheck")), image]


def _health(check: Mapping[str, Any] | None) -> list[str]:
    if check is None:
        return []
    # The client takes a line for the shell alone, not the words of `CMD`.
    line = ["--health-cmd", shlex.join(check["tests"][1:])]
    return line + [word for name, flag in _HEALTH.items() if name in check for word in (flag, str(check[name]))]


def write_files(container: Mapping[str, Any], folder: Path) -> None:
    """Write the texts that the container is given, each under its number."""
    folder.mkdir()
    for number, upload in enumerate(container.get("uploads", ())):
        file = folder / str(number)
        file.write_text(upload["content"], encoding="utf-8")
        file.chmod(0o644)  # it is read by the container's own user, as an uploaded file is
