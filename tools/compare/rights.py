"""Says in words what a container may do, from what was read off the engine or the cluster. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tools.compare.capabilities import COUNT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.compare.figures import Holder, RunStep

_MANY: Final = 15
"""More capabilities than this are counted and not named. An engine gives 14 to a container by itself."""


def of_holder(holder: Holder) -> str:
    """Give the rights of a container, for example `controller: uid 1000, no capability, the engine's socket`."""
    parts = [_user(holder.user)]
    if holder.privileged:
        parts.append("privileged")
    elif "ALL" in holder.added:
        kept = f" but {', '.join(holder.dropped)}" if holder.dropped else ""
        parts.append(f"every capability{kept}")
    elif "ALL" in holder.dropped:
        parts.append(_listed(holder.added))
    elif holder.added:
        parts.append(f"{_listed(holder.added)} beside the engine's own choice")
    parts += [f"`{option}`" for option in holder.security]
    if holder.socket:
        parts.append("the host engine's socket")
    return f"{holder.role}: {', '.join(parts)}"


def of_step(step: RunStep) -> str:
    """Give what a RUN step is, for example `the host's root (uid 0), 14 of 41 capabilities, filtered`."""
    who = "uid 0 of the host" if step.uid == 0 else f"uid {step.uid} of the host"
    inner = " in a user namespace" if step.in_namespace else ""
    filtered = "system calls filtered" if step.seccomp else "no filter of system calls"
    gains = ", may gain no more" if step.no_new_privileges else ""
    return f"{who}, {len(step.capabilities)} of {COUNT} capabilities{inner}, {filtered}{gains}"


def _user(user: str) -> str:
    name = user.partition(":")[0]
    return "root" if name in {"", "0", "root"} else f"uid {name}" if name.isdigit() else name


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "no capability"
    return f"{len(names)} capabilities" if len(names) > _MANY else ", ".join(names)
