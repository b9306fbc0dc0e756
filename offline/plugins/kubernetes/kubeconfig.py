"""Reading kubeconfigs: a file's, a text's, or the user's own, which may be several."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..rpc import PluginError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Kubeconfig:
    """A kubeconfig.

    Attributes:
        content: what it says; nothing when there is none.
        folder: where its relative paths start from.
    """

    content: Mapping[str, Any]
    folder: str = ""

    def context(self, name: str) -> Mapping[str, Any] | None:
        """Give the settings of a context, or of the current one when the name is ""; None when there is none."""
        return self._entry("contexts", name or self.content.get("current-context")).get("context")

    def cluster(self, context: str, cluster: str) -> Mapping[str, Any] | None:
        """Give the settings of a context's cluster, or of the named one; None when there is none."""
        name = cluster or (self.context(context) or {}).get("cluster")
        return self._entry("clusters", name).get("cluster")

    def user(self, context: str) -> Mapping[str, Any]:
        """Give the settings of a context's user."""
        return self._entry("users", (self.context(context) or {}).get("user")).get("user") or {}

    def _entry(self, kind: str, name: Any) -> Mapping[str, Any]:
        entries = self.content.get(kind) or ()
        return next((entry for entry in entries if isinstance(entry, dict) and entry.get("name") == name), {})


def parse(text_or_path: str) -> Kubeconfig:
    """Read a kubeconfig, which may be a file's path or the text itself.

    Raises:
        PluginError: it is neither a file nor a kubeconfig; the text is not repeated, as it may hold a key.
    """
    import yaml  # noqa: PLC0415 (the plugin's start need not wait for it)

    folder, text = "", text_or_path
    path = _as_path(text_or_path)
    if path:
        try:
            folder, text = str(path.resolve().parent), path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise PluginError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        # A kubeconfig is often large, and the C parser ten times as fast.
        found = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 (both are safe)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise PluginError(f"it is not valid YAML{where}: {getattr(error, 'problem', None) or 'unreadable'}") from None
    if not isinstance(found, dict):
        reason = "there is no such file, and it is no kubeconfig's text: give a path or the text of a kubeconfig"
        raise PluginError(reason)
    return Kubeconfig(found, folder)


def _as_path(text: str) -> Path | None:
    """Give the file that a text names; None when it names none, as a kubeconfig's own text does."""
    try:
        path = Path(text).expanduser()
        return path if path.is_file() else None
    except (OSError, ValueError, RuntimeError):
        return None  # too long for a name, or with a character that none has


def users_own() -> Kubeconfig:
    """Read the kubeconfigs that KUBECONFIG lists, the first of each name counting, or ~/.kube/config."""
    listed = [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    paths = [Path(part).expanduser() for part in listed or ["~/.kube/config"]]
    merged: dict[str, Any] = {}
    folder = ""
    for path in paths:
        if not path.is_file():
            continue
        read = parse(str(path))
        config, base = read.content, read.folder
        folder = folder or base
        for key in ("clusters", "contexts", "users"):
            known = {entry.get("name") for entry in merged.get(key, ())}
            entries = [_rooted(entry, base) for entry in config.get(key) or () if entry.get("name") not in known]
            merged[key] = [*merged.get(key, ()), *entries]
        merged.setdefault("current-context", config.get("current-context") or "")
        merged["current-context"] = merged["current-context"] or config.get("current-context") or ""
    return Kubeconfig(merged, folder)


def _rooted(entry: dict[str, Any], base: str) -> dict[str, Any]:
    """Copy a kubeconfig's entry with its files' paths made absolute: they are relative to their own kubeconfig."""
    rooted = dict(entry)
    for part in ("cluster", "user"):
        inner = rooted.get(part)
        if isinstance(inner, dict):
            files = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
            rooted[part] = inner | {key: str(Path(base, inner[key])) for key in files if inner.get(key)}
    return rooted
