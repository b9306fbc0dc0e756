"""When a Pod is ready, and what is wrong with it; every workload's awaiter asks here about its pods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from ..objects import Object, full_name, pluck
from .base import Awaiter

Severity = Literal["INFO", "WARNING", "ERROR"]
_DOCKER: Final = "rpc error: code = Unknown desc = Error response from daemon: "


@dataclass(frozen=True)
class Result:
    """One step on the way to being ready.

    Attributes:
        ok: whether it is taken.
        waiting_for: what it is, in words.
        message: what keeps it from being taken, if that is known.
        severity: the message's.
    """

    ok: bool
    waiting_for: str
    message: str = ""
    severity: Severity = "WARNING"


def check(pod: Object) -> list[Result]:
    """Give the steps that a pod has taken, and the first that it has not."""
    results = []
    for step in _STEPS:
        results.append(step(pod))
        if not results[-1].ok:
            break
    return results


def complaints(pod: Object) -> list[str]:
    """Give what is wrong with a pod."""
    return [result.message for result in check(pod) if result.message and result.severity != "INFO"]


def _condition(pod: Object, type_: str) -> dict[str, Any] | None:
    return next((one for one in pluck(pod, "status", "conditions") or () if one.get("type") == type_), None)


def _scheduled(pod: Object) -> Result:
    words = f'Waiting for Pod "{full_name(pod)}" to be scheduled'
    found = _condition(pod, "PodScheduled")
    if found is None:
        return Result(ok=False, waiting_for=words)
    message = found.get("message", "") if found.get("reason") else ""
    return Result(found.get("status") == "True", words, message, "INFO")


def _initialized(pod: Object) -> Result:
    words = f'Waiting for Pod "{full_name(pod)}" to be initialized'
    return _step(pod, _condition(pod, "Initialized"), words)


def _ready(pod: Object) -> Result:
    words = f'Waiting for Pod "{full_name(pod)}" to be ready'
    if pluck(pod, "status", "phase") == "Succeeded":
        return Result(ok=True, waiting_for=words)
    return _step(pod, _condition(pod, "Ready"), words)


def _step(pod: Object, condition: dict[str, Any] | None, words: str) -> Result:
    if condition is None:
        return Result(ok=False, waiting_for=words)
    if condition.get("status") == "True":
        return Result(ok=True, waiting_for=words)
    containers = "\n".join(
        text for status in pluck(pod, "status", "containerStatuses") or () for text in _container(status)
    )
    said = condition.get("message") or ""
    if not containers and not said:
        return Result(ok=False, waiting_for=words)
    shown = said if condition.get("reason") else ""
    return Result(ok=False, waiting_for=words, message=f"[Pod {full_name(pod)}]: {shown}{containers}")


def _container(status: Object) -> list[str]:
    """Say what is wrong with a container: why it waits, how it ended, and how it ended the last time."""
    if status.get("ready"):
        return []
    found = []
    waiting = pluck(status, "state", "waiting")
    if waiting and waiting.get("reason") != "ContainerCreating":
        found.append(f"[{waiting.get('reason', '')}] {_trimmed(waiting.get('message') or '')}")
    ended = pluck(status, "state", "terminated")
    if ended and ended.get("reason"):
        message = _trimmed(ended.get("message") or "")
        code = f'container "{status.get("name")}" completed with exit code {ended.get("exitCode")}'
        # Beyond the official plugin's words: that the memory ran out is never part of the program's own message.
        telling = "" if ended["reason"] in ("Error", "Completed") else f" ({ended['reason']})"
        found.append(f"[{ended['reason']}] {message}" if message else code + telling)
    before = pluck(status, "lastState", "terminated")
    if before:
        how = f"{before.get('reason', '')}: exit code {before.get('exitCode')}"
        found.append(f'container "{status.get("name")}" terminated at {before.get("finishedAt")} ({how})')
        found += [before["message"]] if before.get("message") else []
    return found


def _trimmed(message: str) -> str:
    return message.removeprefix(_DOCKER).removesuffix(": manifest unknown")


_STEPS: Final = (_scheduled, _initialized, _ready)


class PodAwaiter(Awaiter):
    """A Pod is ready when it says so, or has succeeded."""

    def __init__(self, *arguments: Any) -> None:
        """Start with nothing known."""
        super().__init__(*arguments)
        self._results: list[Result] = []

    def see(self, obj: Object) -> None:
        """Check the steps."""
        self._results = check(obj)
        for result in self._results:
            self.scene.status.tell(result.waiting_for)

    def ready(self) -> bool:
        """Say whether every step is taken."""
        return len(self._results) == len(_STEPS) and self._results[-1].ok

    def reasons(self) -> list[str]:
        """Give what keeps it."""
        return [result.message for result in self._results if result.message and result.severity != "INFO"]
