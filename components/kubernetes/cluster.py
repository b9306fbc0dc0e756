"""The cluster: the provider that changes it, and a reader that asks it what Pulumi does not tell."""

import functools
import importlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import pulumi_kubernetes as kubernetes

from components.settings import KubernetesSettings

_METADATA_ALONE: Final = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
"""Asks the API for an object without its content. Source: the Kubernetes documentation, "Kubernetes API Concepts"."""

_SECONDS: Final = 10.0
"""How long one question may take. An API server that is slower is in trouble of its own."""

JOB_LABEL: Final = "batch.kubernetes.io/job-name"
"""The label by which Kubernetes itself marks a Job's pods (since 1.27)."""


def kubeconfig(settings: KubernetesSettings) -> str | None:
    """Give the kubeconfig file's path, or None to look where kubectl looks."""
    return str(Path(settings.kubeconfig).expanduser().absolute()) if settings.kubeconfig else None


def named(settings: KubernetesSettings) -> str:
    """Say which cluster the settings name, in words. What kubectl's current context is, they do not know."""
    context = f"context {settings.context}" if settings.context else "the current context"
    return f"{context} of {settings.kubeconfig or 'the kubeconfig that kubectl takes'}"


def provider(settings: KubernetesSettings) -> kubernetes.Provider:
    """Register the provider for the cluster that the settings name.

    What this stack declares is its own: it takes back what somebody changed by hand (`enable_patch_force`), and what
    an update made that was killed before it could note it (`upsert_existing_objects`). Both stay inside the two
    namespaces, and a namespace that is not this stack's is refused before (see `preflight`).
    """
    return kubernetes.Provider(
        "cluster",
        kubeconfig=kubeconfig(settings),
        context=settings.context,
        enable_patch_force=True,
        upsert_existing_objects=True,
        # A Secret or ConfigMap of a fixed name would be deleted and made anew for each change, with a gap between.
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
    )


class Reader(Protocol):
    """What is asked of a cluster. Each raises ReadError when the cluster gives no answer."""

    def namespaces(self, *names: str) -> Mapping[str, Mapping[str, str]]:
        """Give the labels of those of these namespaces that exist."""
        ...

    def storage_classes(self) -> Mapping[str, bool]:
        """Give every storage class, and whether it is the default one."""
        ...

    def version(self) -> tuple[int, int]:
        """Give the API server's version."""
        ...

    def has_secret(self, namespace: str, name: str) -> bool:
        """Say whether there is a Secret, without reading what is in it."""
        ...

    def pods(self, namespace: str, job: str) -> list[Mapping[str, Any]]:
        """Give a Job's pods, the newest first, as the API has them."""
        ...

    def events(self, namespace: str, name: str) -> list[str]:
        """Give the messages of the warnings about a Job and its pods, the newest first."""
        ...


class ReadError(Exception):
    """The cluster could not be asked. The text says what was tried and why it failed, without a secret."""


class ApiReader:
    """Asks through the official client, with the kubeconfig and context of the stack."""

    def __init__(self, settings: KubernetesSettings) -> None:
        """Keep the settings; nothing is opened before the first question."""
        self._settings = settings

    @functools.cached_property
    def _client(self) -> Any:  # noqa: ANN401 - the client has no types
        # Imported here: 0.3 s that an update without news should not pay.
        from kubernetes import client  # noqa: PLC0415

        config: Any = importlib.import_module("kubernetes.config")  # without types
        try:
            if kubeconfig(self._settings) is None and _inside_a_cluster():
                config.load_incluster_config()
                return client.ApiClient()
            return config.new_client_from_config(config_file=kubeconfig(self._settings), context=self._settings.context)
        except (config.ConfigException, OSError) as error:
            raise ReadError(f"the kubeconfig can't be used: {error}") from None

    def _get(self, path: str, *, accept: str = "application/json", **query: str) -> Any:  # noqa: ANN401 - JSON
        from kubernetes.client import ApiException  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        host = self._client.configuration.host
        request = self._client.param_serialize(
            "GET",
            path,
            query_params=list(query.items()),
            header_params={"Accept": accept},
            auth_settings=["BearerToken"],
        )
        try:
            answer = self._client.call_api(*request, _request_timeout=_SECONDS).response
            status, body = answer.status, answer.data
        except (ApiException, HTTPError, OSError) as error:
            raise ReadError(f"{host} gave no answer: {getattr(error, 'reason', None) or error}") from None
        if status == 404:  # noqa: PLR2004
            return None
        if status >= 400:  # noqa: PLR2004
            raise ReadError(f"{host}{path} answered {status} {answer.reason}")
        return json.loads(body)

    def namespaces(self, *names: str) -> Mapping[str, Mapping[str, str]]:
        """See Reader."""
        found = {name: self._get(f"/api/v1/namespaces/{name}") for name in names}
        return {name: made["metadata"].get("labels", {}) for name, made in found.items() if made}

    def storage_classes(self) -> Mapping[str, bool]:
        """See Reader."""
        items = (self._get("/apis/storage.k8s.io/v1/storageclasses") or {}).get("items", [])
        mark = "storageclass.kubernetes.io/is-default-class"
        return {
            item["metadata"]["name"]: (item["metadata"].get("annotations") or {}).get(mark) == "true" for item in items
        }

    def version(self) -> tuple[int, int]:
        """See Reader."""
        said = self._get("/version") or {}
        digits = ("".join(filter(str.isdigit, str(said.get(part, "0")))) or "0" for part in ("major", "minor"))
        major, minor = (int(text) for text in digits)
        return major, minor

    def has_secret(self, namespace: str, name: str) -> bool:
        """See Reader."""
        return self._get(f"/api/v1/namespaces/{namespace}/secrets/{name}", accept=_METADATA_ALONE) is not None

    def pods(self, namespace: str, job: str) -> list[Mapping[str, Any]]:
        """See Reader."""
        found = self._get(f"/api/v1/namespaces/{namespace}/pods", labelSelector=f"{JOB_LABEL}={job}") or {}
        return sorted(found.get("items", []), key=lambda pod: str(pod["metadata"]["creationTimestamp"]), reverse=True)

    def events(self, namespace: str, name: str) -> list[str]:
        """See Reader."""
        answer = self._get(f"/api/v1/namespaces/{namespace}/events", fieldSelector="type=Warning") or {}
        warnings = answer.get("items", [])
        found = [event for event in warnings if f"{event['involvedObject'].get('name', '')}-".startswith(f"{name}-")]
        found.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""), reverse=True)
        return [str(event.get("message", "")) for event in found]


def _inside_a_cluster() -> bool:
    home = Path.home() / ".kube" / "config"
    return not os.environ.get("KUBECONFIG") and not home.exists() and "KUBERNETES_SERVICE_HOST" in os.environ
