"""The provider's own settings: which there are, what they say when nobody sets them, and what a change of one means."""

from __future__ import annotations

import difflib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..rpc import PluginError
from ..values import UNKNOWN
from .connection import Choice
from .kubeconfig import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# The engine's own keys among a provider's inputs.
_ENGINE_KEYS = frozenset({"version", "pluginDownloadURL"})
_TEXTS = ("kubeconfig", "context", "cluster", "namespace", "clusterIdentifier")
_FLAGS: Final = {
    "deleteUnreachable": "PULUMI_K8S_DELETE_UNREACHABLE",
    "skipUpdateUnreachable": "PULUMI_K8S_SKIP_UPDATE_UNREACHABLE",
    "enableServerSideApply": "PULUMI_K8S_ENABLE_SERVER_SIDE_APPLY",
    "enablePatchForce": "PULUMI_K8S_ENABLE_PATCH_FORCE",
    "upsertExistingObjects": "PULUMI_K8S_UPSERT_EXISTING_OBJECTS",
    "enableConfigMapMutable": "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE",
    "enableSecretMutable": "PULUMI_K8S_ENABLE_SECRET_MUTABLE",
    "suppressDeprecationWarnings": "PULUMI_K8S_SUPPRESS_DEPRECATION_WARNINGS",
    "suppressHelmHookWarnings": "PULUMI_K8S_SUPPRESS_HELM_HOOK_WARNINGS",
    "strictMode": "",
}
_OFF_BY_DEFAULT = frozenset(_FLAGS) - {"enableServerSideApply"}
_REFUSED: Final = {
    "renderYamlToDirectory": "the bundled plugin renders no YAML: use the official one",
    "alwaysRender": "the bundled plugin renders no YAML: use the official one",
    "helmReleaseSettings": "the bundled plugin knows no Helm: use the official one",
    "rejectUnknownResources": "the bundled plugin rejects nothing that the API server knows: leave it out",
}
_CLIENT: Final = "kubeClientSettings"


@dataclass(frozen=True)
class Settings:
    """The provider's settings.

    Attributes:
        choice: which cluster.
        flags: the yes-or-no ones, by their names.
        timeout_seconds: how long a request may take; None for the ordinary.
    """

    choice: Choice
    flags: Mapping[str, bool]
    timeout_seconds: float | None = None

    def on(self, flag: str) -> bool:
        """Say whether a flag is set."""
        return self.flags[flag]


def _given(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value for key, value in properties.items() if key not in _ENGINE_KEYS and value is not None and value != ""
    }


def problems(properties: Mapping[str, Any], *, default_provider: bool) -> Iterator[tuple[str, str]]:
    """Find what is wrong with a provider's inputs, as (property, reason)."""
    given = _given(properties)
    for name, value in given.items():
        reason = _problem(name, value)
        if reason:
            yield name, reason
    if given.get("enableServerSideApply") in (False, "false"):
        yield "enableServerSideApply", "the bundled plugin changes objects by server-side apply only: leave it out"
    if given.get("strictMode") in (True, "true"):
        if default_provider:
            yield "", "strict mode prohibits default provider"
        for name in ("kubeconfig", "context"):
            if name not in given:
                yield name, f'strict mode requires Provider "{name}" argument'


def _problem(name: str, value: Any) -> str:
    if name in _REFUSED:
        return "" if value in (False, "false") else _REFUSED[name]
    known = [*_TEXTS, *_FLAGS, _CLIENT]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean `{near[0]}`?" if near else f"; it knows {', '.join(sorted(known))}"
        return f"the property `{name}` is not implemented by the bundled plugin{hint}"
    if name in _FLAGS and value is not UNKNOWN and value not in (True, False, "true", "false"):
        return f"must be true or false, and is {value!r}"
    return ""


def read(properties: Mapping[str, Any]) -> Settings:
    """Read a provider's inputs; a flag that is not given is as its environment variable says.

    Raises:
        PluginError: server-side apply is switched off by the environment.
    """
    given = _given(properties)
    flags = {}
    for name, variable in _FLAGS.items():
        value = given[name] if name in given else os.environ.get(variable) if variable else None
        flags[name] = value in (True, "true") if value is not None else name not in _OFF_BY_DEFAULT
    if not flags["enableServerSideApply"]:
        variable = _FLAGS["enableServerSideApply"]
        raise PluginError(f"the bundled plugin changes objects by server-side apply only: unset {variable}")
    client = given.get(_CLIENT) or {}
    client = json.loads(client) if isinstance(client, str) else client
    timeout = client.get("timeout") or os.environ.get("PULUMI_K8S_CLIENT_TIMEOUT")
    choice = Choice(
        kubeconfig=_as_text(given.get("kubeconfig")),
        context=str(given.get("context") or ""),
        cluster=str(given.get("cluster") or ""),
        namespace=str(given.get("namespace") or ""),
    )
    return Settings(choice, flags, float(timeout) if timeout else None)


def _as_text(kubeconfig: Any) -> str:
    if kubeconfig is None:
        return ""
    return kubeconfig if isinstance(kubeconfig, str) else json.dumps(kubeconfig)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Find the settings that changed, and those of them that make a new provider, and with it new resources.

    That is only another cluster: another `clusterIdentifier`, or without one another active cluster of the kubeconfig.
    """
    before, after = _given(old), _given(new)
    changed = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
    if not changed:
        return [], []
    pointers = ("kubeconfig", "context", "cluster")
    unknown = [key for key in pointers if after.get(key) is UNKNOWN]
    if unknown:
        return unknown[:1], unknown[:1]
    identifier = "clusterIdentifier"
    if identifier in before and identifier in after:
        return changed, [identifier] if identifier in changed else []
    clusters = [_cluster(settings) for settings in (before, after)]
    if None in clusters or clusters[0] == clusters[1]:
        return changed, []
    return changed, [key for key in pointers if key in changed]


def _cluster(settings: Mapping[str, Any]) -> Any:
    text = _as_text(settings.get("kubeconfig"))
    if not text:
        return None
    return parse(text).cluster(str(settings.get("context") or ""), str(settings.get("cluster") or ""))
