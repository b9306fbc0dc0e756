"""Laying one stack file over another, and finding what one adds to another. Pure."""

from __future__ import annotations

from typing import Any

ENCRYPTION = ("secretsprovider", "encryptedkey", "encryptionsalt")
"""The keys of a stack file that say how its secrets are encrypted."""


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid on `base`: mappings are joined key by key; all else (lists, secrets) is taken whole from `over`."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = (
            merge(old, value) if isinstance(old, dict) and isinstance(value, dict) and _join(old, value) else value
        )
    return merged


def added(base: dict[str, Any], full: dict[str, Any]) -> dict[str, Any]:
    """The least that, laid on `base`, gives everything that is in `full`. What `full` lacks is not expressed."""
    extra: dict[str, Any] = {}
    for key, value in full.items():
        old = base.get(key)
        if key in base and old == value:
            continue
        part = added(old, value) if isinstance(old, dict) and isinstance(value, dict) and _join(old, value) else value
        # What is left of a mapping must not look like one secret, or it would be laid on as a whole.
        extra[key] = part if not isinstance(part, dict) or _join(part) else value
    return extra


def _join(*mappings: dict[str, Any]) -> bool:
    """Whether mappings are joined key by key. `{secure: ...}` is one secret, so it is taken whole."""
    return all(set(mapping) != {"secure"} for mapping in mappings)


def keys(config: dict[str, Any]) -> dict[str, Any]:
    """A stack file's settings, by full key."""
    found = config.get("config")
    return found if isinstance(found, dict) else {}


def setting(config: dict[str, Any], key: str, *path: str, default: Any = None) -> Any:  # noqa: ANN401 - a setting may be anything
    """One setting of a stack file: `setting(file, "ci:docker", "host")`."""
    value: Any = keys(config).get(key)
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return default if value is None else value


def platform(config: dict[str, Any]) -> str:
    """Where a stack's CI runs, as its file says: `docker`, `kubernetes`; empty where it says nothing."""
    return str(setting(config, "ci:platform", default=""))


def gitlab_runner(config: dict[str, Any]) -> bool:
    """Whether the stack has a GitLab Runner; on a Docker host it then has no Jenkins."""
    return bool(keys(config).get("ci:gitlabRunner"))
