"""The result of a build: the pushed digest, or why it failed. Pure, from a Job's pods in the API's shape."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ..settings import BuildSettings
from .builders.buildctl import CLIENT, UNUSABLE
from .cluster import KILLING

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_LINES: Final = 5
"""How many lines of a failed build's log are shown. The API keeps 2048 bytes of it."""

_STEP_KILLED: Final = re.compile(r"signal: killed|exit (?:status|code:) 137$", re.MULTILINE)
"""A builder's message about a killed RUN step: its shell, or a program that the shell started."""

_DEADLINE: Final = "longer than specified deadline"
"""Part of the Job controller's warning."""

_BACKOFF: Final = "has reached the specified backoff limit"
"""The same."""

_DELETED: Final = "somebody deleted its pod, or the cluster did; the next update builds it"

_NOT_PULLED: Final = re.compile(r"Failed to pull image|ImagePullBackOff|ErrImagePull|InvalidImageName")
_NO_NODE: Final = re.compile(r"\d+/\d+ nodes are available")
"""Parts of the warnings of the kubelet and of the scheduler."""

_STATUS: Final = "see `make status` for the daemon; `make up` renews certificates"

_NOISE: Final = re.compile(r"-+|\s+\d+ \|.*| > importing cache manifest.*|\S+:\d+")
"""Lines that BuildKit prints after a step's own output: rulers, the Dockerfile's text, a missing cache."""

_NO_USER_NAMESPACE: Final = ("unshare(CLONE_NEWUSER)", "rootlesskit:parent] error")
"""Messages of Buildah and BuildKit when they can't create their user namespace."""

_Pod = Mapping[str, Any]


def digest(pods: Sequence[_Pod]) -> str | None:
    """Return the digest that the newest successful pod pushed; None if no pod has one."""
    for pod in pods:
        if pod.get("status", {}).get("phase") != "Succeeded":
            continue
        for _, state in _ended(pod):
            found = _DIGEST.search(str(state.get("message", "")))
            if found:
                return found[0]
    return None


def explain(build: BuildSettings, index: int, pods: Sequence[_Pod], events: Sequence[str]) -> str:
    """Say why a build failed and which setting to change, with the last lines of its log.

    index: the build's index in `ci:builds`.
    events: as ApiReader.events gives them.
    """
    key, warnings = f"ci:builds[{index}]", [event for event in events if not event.startswith(KILLING)]
    killing = next((event for event in events if event.startswith(KILLING)), None)
    said = _without_pods(build, key, warnings, killing) if not pods else _of_pod(build, key, pods[0], warnings)
    return f"build {build.name} failed: {said}"


def _without_pods(build: BuildSettings, key: str, events: Sequence[str], killing: str | None) -> str:
    # A Job that the quota kept waiting ends at its deadline, and that is the newer warning.
    refused = [event for event in events if "exceeded quota" in event]
    if refused:
        return f"{refused[0]}; raise ci:kubernetes.quota, or lower {key}.resources"
    if not any(_DEADLINE in event for event in events):
        # That the Job has failed is no reason.
        reasons = [event for event in events if _BACKOFF not in event]
        if killing is not None and not reasons:
            return f"{_DELETED} ({killing})"
        return next(iter([*reasons, *events]), "no pod was started (if it is in a queue: kubectl get workloads)")
    # The controller deleted the pods, but the warnings about them are still there.
    others = [event for event in events if _DEADLINE not in event]
    if others and _NOT_PULLED.search(others[0]):
        return _not_pulled(build, key, others[0])
    if others and _NO_NODE.search(others[0]):
        return _no_node(build, key, others[0])
    return _late(build, key) + (f"\n    the last warning: {others[0]}" if others else "")


def _of_pod(build: BuildSettings, key: str, pod: _Pod, events: Sequence[str]) -> str:
    status = pod.get("status", {})
    if status.get("reason") == "Evicted":
        # The containers of an evicted pod may end in any way, which would hide the reason.
        message = status.get("message", "")
        disk = build.resources.disk_mib
        more = f"; raise {key}.resources.diskMib, for example to {disk * 2}" if "ephemeral" in message else ""
        return f"the node evicted its pod: {message}{more}"
    # The Job controller deletes a late pod. How its containers end then depends on the builder.
    deleted = "deletionTimestamp" in pod.get("metadata", {})
    late = deleted and any(_DEADLINE in event for event in events)
    for name, state in _ended(pod):
        if state.get("exitCode") != 0:
            return _DELETED if deleted and not late else _of_container(build, key, name, state, late=late)
    waiting = "; ".join(_waiting(pod))
    if waiting:
        return _not_pulled(build, key, waiting) if _NOT_PULLED.search(waiting) else waiting
    if status.get("reason"):
        return f"{status['reason']}: {status.get('message', '')}".rstrip(": ")
    for entry in status.get("conditions") or ():
        if (entry.get("type"), entry.get("status")) == ("PodScheduled", "False"):
            return _no_node(build, key, entry.get("message", ""))
    return _late(build, key)


def _of_container(build: BuildSettings, key: str, name: str, state: Mapping[str, Any], *, late: bool) -> str:
    unusable = _unusable(state)
    if unusable is not None:
        return f"it {unusable}; {_STATUS}"
    if late:
        return f"{_late(build, key)}{_tail(state)}"
    if _was_killed(state):
        if name == CLIENT and not _is_killed(state):
            more = "raise ci:buildkit.memoryMib"
            return f"a step was killed, probably because the daemon needs more memory; {more}{_tail(state)}"
        memory = build.resources.memory_mib
        return (
            f"it was killed, probably because it needs more memory than {memory} MiB; "
            f"raise {key}.resources.memoryMib, for example to {memory * 2}{_tail(state)}"
        )
    hint = _hint(key, name, str(state.get("message", "")))
    return f"{name} ended with exit code {state.get('exitCode')}{hint}{_tail(state)}"


def _not_pulled(build: BuildSettings, key: str, message: str) -> str:
    return (
        f"an image of its pod can't be pulled ({message}); "
        f"check ci:kubernetes.{build.builder}Image, and ci:kubernetes.gitImage for a git context, or {key}.builder"
    )


def _no_node(build: BuildSettings, key: str, message: str) -> str:
    if "volume" in message.lower():
        return f"no node can have its pod, because of its volume ({message}); check {key}.context.volume.claim"
    other = f", or give another {key}.platform" if build.platform and "affinity/selector" in message else ""
    return f"no node has room for its pod ({message}); lower {key}.resources, or add a node{other}"


def _was_killed(state: Mapping[str, Any]) -> bool:
    """Return whether the container was killed, or only one of its steps, as with cgroup v1."""
    return _is_killed(state) or _STEP_KILLED.search(str(state.get("message", ""))) is not None


def _is_killed(state: Mapping[str, Any]) -> bool:
    return state.get("reason") == "OOMKilled" or state.get("exitCode") == 137  # noqa: PLR2004 - SIGKILL


def _unusable(state: Mapping[str, Any]) -> str | None:
    """Return what a client said last of a daemon that it can't use; None if that is not why it ended."""
    [*_, last] = str(state.get("message", "")).strip().splitlines() or [""]
    return last if last.startswith(UNUSABLE) else None


def _late(build: BuildSettings, key: str) -> str:
    return (
        f"it was not done within {build.deadline_seconds} s; if it needs more time, raise {key}.deadlineSeconds, "
        f"for example to {build.deadline_seconds * 2}"
    )


def _hint(key: str, container: str, log: str) -> str:
    if container == "fetch":
        return f", while fetching {key}.context.git"
    if any(words in log for words in _NO_USER_NAMESPACE):
        return (
            ", since the node forbids user namespaces (the kubelet's seccompDefault, or a sysctl); "
            f"set {key}.builder to kaniko, or see docs/how-to/kubernetes.md"
        )
    if "UNAUTHORIZED" in log or "authentication required" in log.lower():
        return ", since a registry refused the login; check ci:registryPassword and ci:dockerConfig"
    if "no space left" in log.lower():
        where = "ci:buildkit.storageGib" if container == CLIENT else f"{key}.resources.diskMib"
        return f"; raise {where}, or the registry's ci:registry.storageGib"
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


def _waiting(pod: _Pod) -> Iterator[str]:
    for status in _statuses(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "PodInitializing", "ContainerCreating"):
            yield f"{status['name']}: {waiting['reason']}, {waiting.get('message', '')}".rstrip(", ")
