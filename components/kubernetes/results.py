"""What became of a build: the digest that it pushed, or why it failed. Pure, from a Job's pods as the API has them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from components.settings import BuildSettings

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_LINES: Final = 5
"""How many lines of a failed build's log are shown. The API keeps 2048 bytes, and the provider shows them all."""

_DEADLINE: Final = "longer than specified deadline"
"""What the Job controller's own warning says."""

_STOPPED: Final = 143
"""How a container ends that does as it is told (SIGTERM)."""

_KILLED: Final = re.compile(r"exit (?:code|status):? 137\b|signal: killed")
"""What a builder says of a step that was killed, where the kubelet says nothing of want of memory."""

_NOISE: Final = re.compile(r"-+|\s+\d+ \|.*| > importing cache manifest.*|\S+:\d+")
"""Lines of BuildKit's after a step's own last words: rules, the Dockerfile's text, the cache that is not there yet."""

_NO_USER_NAMESPACE: Final = ("unshare(CLONE_NEWUSER)", "rootlesskit:parent] error")
"""What Buildah and BuildKit say where they can't make their user namespace."""

_Pod = Mapping[str, Any]


def digest(pods: Sequence[_Pod]) -> str | None:
    """Give the digest that the newest successful pod pushed; None where no pod tells one."""
    for pod in pods:
        if pod.get("status", {}).get("phase") != "Succeeded":
            continue
        for _, state in _ended(pod):
            found = _DIGEST.search(str(state.get("message", "")))
            if found:
                return found[0]
    return None


def explain(  # noqa: PLR0911 - one for each kind of end
    build: BuildSettings, place: int, pods: Sequence[_Pod], events: Sequence[str]
) -> str:
    """Say why a build failed, in the words of the settings, with the last lines of its log.

    place: the build's place in `ci:builds`.
    events: the warnings about its Job and its pods, the newest first.
    """
    key = f"ci:builds[{place}]"
    head = f"the build {build.name} failed: "
    if not pods:
        # A Job that the quota kept waiting ends by its deadline, and that is the newer warning.
        refused = [event for event in events if "exceeded quota" in event]
        if refused:
            return f"{head}{refused[0]}; raise ci:kubernetes.quota, or lower {key}.resources"
        if any(_DEADLINE in event for event in events):
            # Its pods are gone with it, but not what was said of them.
            last = [event for event in events if _DEADLINE not in event]
            return f"{head}{_late(build, key)}" + (f"\n    the last warning: {last[0]}" if last else "")
        return f"{head}{events[0] if events else 'no pod was started'}"
    for name, state in _failures(pods[0]):
        if state.get("exitCode") == _STOPPED and any(_DEADLINE in event for event in events):
            return f"{head}{_late(build, key)}{_tail(state)}"
        killed = state.get("exitCode") == 137 or _KILLED.search(str(state.get("message", "")))  # noqa: PLR2004 - SIGKILL
        if state.get("reason") == "OOMKilled" or killed:
            memory = build.resources.memory_mib
            return (
                f"{head}it was killed, most likely for want of memory (it has {memory} MiB); "
                f"raise {key}.resources.memoryMib, for example to {memory * 2}{_tail(state)}"
            )
        said = _tail(state)
        hint = _hint(key, name, str(state.get("message", "")))
        return f"{head}{name} ended with {state.get('exitCode')}{hint}{said}"
    waiting = list(_waiting(pods[0]))
    if waiting:
        return f"{head}{'; '.join(waiting)}"
    status = pods[0].get("status", {})
    if status.get("reason"):
        return f"{head}{status['reason']}: {status.get('message', '')}".rstrip(": ")
    unscheduled = [
        str(condition.get("message", ""))
        for condition in status.get("conditions", ())
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False"
    ]
    if unscheduled:
        return f"{head}no node took it ({unscheduled[0]}); lower {key}.resources, or add a node"
    return f"{head}{_late(build, key)}"


def _late(build: BuildSettings, key: str) -> str:
    return (
        f"it was not done within {build.deadline_seconds} s; raise {key}.deadlineSeconds if it needs longer, "
        f"for example to {build.deadline_seconds * 2}"
    )


def _hint(key: str, container: str, log: str) -> str:
    if container == "fetch":
        return f", while fetching {key}.context.git"
    if any(words in log for words in _NO_USER_NAMESPACE):
        return (
            ", since the node lets it make no user namespace (by the kubelet's seccompDefault, or by a sysctl); "
            f"write {key}.builder: kaniko, or see docs/how-to/kubernetes.md"
        )
    if "UNAUTHORIZED" in log or "authentication required" in log.lower():
        return ", since a registry refused the login: is ci:registryPassword (or ci:dockerConfig) right?"
    if "no space left" in log.lower():
        return f"; raise {key}.resources.diskMib, or the registry's ci:registry.storageGib"
    return ""


def _tail(state: Mapping[str, Any]) -> str:
    lines = [line.rstrip() for line in str(state.get("message", "")).splitlines()]
    lines = [line for line in lines if line and not _NOISE.fullmatch(line)]
    return "".join(f"\n    {line}" for line in lines[-_LINES:])


def _statuses(pod: _Pod) -> Iterator[Mapping[str, Any]]:
    status = pod.get("status", {})
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _ended(pod: _Pod) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for status in _statuses(pod):
        state = (status.get("state") or {}).get("terminated") or (status.get("lastState") or {}).get("terminated")
        if state:
            yield status["name"], state


def _failures(pod: _Pod) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return ((name, state) for name, state in _ended(pod) if state.get("exitCode") != 0)


def _waiting(pod: _Pod) -> Iterator[str]:
    for status in _statuses(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "PodInitializing", "ContainerCreating"):
            yield f"{status['name']}: {waiting['reason']}, {waiting.get('message', '')}".rstrip(", ")
