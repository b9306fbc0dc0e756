"""The cluster: the provider that changes it, and a reader for what Pulumi does not tell."""

import contextlib
import functools
import importlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pulumi
import pulumi_kubernetes as kubernetes
import yaml

from .. import regular_file
from ..settings import KubernetesSettings

_METADATA_ONLY: Final = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
"""Asks the API for an object without its content. Source: the Kubernetes documentation, "Kubernetes API Concepts"."""

_TIMEOUT_SECONDS: Final = 10.0
"""How long one request may take."""

_REQUESTS_PER_SECOND: Final = 2000
"""The provider's client sends 50 requests a second by default. For a stack with 100 builds and nothing to change, a
preview took 19.4 s with that and 11.4 s with this (measured with one node on two cores)."""

OLDEST: Final = (1, 29)
"""The oldest supported API server: the oldest that the provider's release notes name."""

KILLING: Final = "Killing"
"""The kubelet's reason of an event about a container that it ends, since its pod is deleted or evicted."""

JOB_LABEL: Final = "batch.kubernetes.io/job-name"
"""Kubernetes' own label on a Job's pods (since 1.27)."""


_KUBECONFIG_BYTES: Final = 512 * 1024
_DEEPEST: Final = 20
"""Levels of a kubeconfig. Real ones have six."""

_LONG_NUMBER: Final = re.compile(r"[-+\d_.:eE]{100,}")


def kubeconfig(path: str | Path) -> Any:  # noqa: ANN401 - YAML
    """Return what a kubeconfig holds. Raise OSError, ValueError, or YAMLError for one that would take minutes to read.

    A few hundred bytes are enough for that: with levels, aliases that are merged again and again, or a long number.
    """
    content, depth = regular_file.read(path, largest=_KUBECONFIG_BYTES), 0
    for event in yaml.parse(content, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        number = isinstance(event, yaml.ScalarEvent) and _LONG_NUMBER.fullmatch(event.value)
        if depth > _DEEPEST or isinstance(event, yaml.AliasEvent) or number:
            raise yaml.YAMLError
    return yaml.safe_load(content)


def named(settings: KubernetesSettings) -> str:
    """Return which cluster the settings name, in words. The settings do not know kubectl's current context."""
    context = f"context {settings.context}" if settings.context else "the current context"
    return f"{context} of {settings.kubeconfig or 'the kubeconfig that kubectl takes'}"


def provider(name: str, settings: KubernetesSettings, opts: pulumi.ResourceOptions) -> kubernetes.Provider:
    """Register the provider for the cluster in the settings.

    It reverts what somebody changed by hand (`enable_patch_force`), and takes over objects that a killed update created
    without noting them in the state (`upsert_existing_objects`). All objects are in the stack's namespaces or have the
    name of one, and preflight refuses a namespace of somebody else.
    """
    return kubernetes.Provider(
        f"{name}-cluster",
        # As it is written. The state keeps it, and each update begins with it: an absolute path would keep a clone in
        # another folder, or another user, from updating the stack. The provider runs in the project's folder.
        kubeconfig=settings.kubeconfig,
        context=settings.context,
        enable_patch_force=True,
        upsert_existing_objects=True,
        # Otherwise each change of a Secret or ConfigMap with a fixed name would delete it and create it again.
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
        kube_client_settings=kubernetes.KubeClientSettingsArgs(burst=_REQUESTS_PER_SECOND, qps=_REQUESTS_PER_SECOND),
        opts=opts,
    )


@dataclass(frozen=True, kw_only=True)
class NamespaceInfo:
    """A namespace that exists."""

    labels: Mapping[str, str]
    terminating: bool = False
    """Whether it was deleted, but some of its objects still exist."""


class ReadError(Exception):
    """Raised when the cluster does not answer. Its text has the URL and the reason, and no secret."""


class ForbiddenError(ReadError):
    """Raised when the user of the kubeconfig lacks a right."""


class ApiReader:
    """Reads from a cluster with the official client. Each method raises ReadError when the cluster does not answer."""

    def __init__(self, settings: KubernetesSettings) -> None:
        """Keep the settings. Nothing is opened before the first request."""
        self._settings = settings

    @functools.cached_property
    def client(self) -> Any:  # noqa: ANN401 - the client has no types
        """The official client's ApiClient, for its typed methods. A request ends after 10 s unless it gives a timeout.

        Raises:
            ReadError: if the kubeconfig can't be used.
        """
        # Imported here: 0.3 s that an update without changes should not pay.
        from kubernetes import client  # noqa: PLC0415

        config: Any = importlib.import_module("kubernetes.config")  # without types
        wanted = client.Configuration()
        # By default, urllib3 tries four times, and an API server that does not answer would cost 44 s.
        wanted.retries = False
        path, home = self._settings.kubeconfig, Path.home() / ".kube" / "config"
        elsewhere = os.environ.get("KUBECONFIG") or home.exists() or "KUBERNETES_SERVICE_HOST" not in os.environ
        try:
            if path is None and not elsewhere:
                config.load_incluster_config(client_configuration=wanted)
            else:
                named = [path] if path else (os.environ.get("KUBECONFIG") or str(home)).split(os.pathsep)
                for each in filter(None, named):
                    with contextlib.suppress(FileNotFoundError):  # kubectl takes those that exist
                        kubeconfig(each)
                config.load_kube_config(path, self._settings.context, client_configuration=wanted)
        # The loader says what is missing, and trips over whatever has another shape than it expects.
        except (config.ConfigException, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise ReadError(f"the kubeconfig can't be used: {error}") from None
        except yaml.YAMLError:
            raise ReadError("the kubeconfig can't be used: it is not YAML, or has aliases or too many levels") from None
        made = client.ApiClient(wanted)
        ask = made.call_api
        # A typed method without a timeout waits for ever.
        made.call_api = lambda *words, _request_timeout=None: ask(
            *words, _request_timeout=_request_timeout or _TIMEOUT_SECONDS
        )
        return made

    def _get(self, path: str, *, accept: str = "application/json", **query: str) -> Any:  # noqa: ANN401 - JSON
        from kubernetes.client import ApiException  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        host = self.client.configuration.host
        request = self.client.param_serialize(
            "GET",
            path,
            query_params=list(query.items()),
            header_params={"Accept": accept},
            auth_settings=["BearerToken"],
        )
        try:
            answer = self.client.call_api(*request).response
            status, body = answer.status, answer.data
        except (ApiException, HTTPError, OSError) as error:
            raise ReadError(f"{host} does not answer: {getattr(error, 'reason', None) or error}") from None
        if status == 404:  # noqa: PLR2004
            return None
        if status == 403:  # noqa: PLR2004
            raise ForbiddenError(f"{host}{path} answered 403 {answer.reason}")
        if status >= 400:  # noqa: PLR2004
            raise ReadError(f"{host}{path} answered {status} {answer.reason}")
        return json.loads(body)

    def get(self, path: str, **query: str) -> Any:  # noqa: ANN401 - JSON
        """Return an object or a list in the API's shape; None if there is none, nor such an API.

        Raises ForbiddenError if the user of the kubeconfig may not read it.
        """
        return self._get(path, **query)

    def namespaces(self, *names: str) -> Mapping[str, NamespaceInfo]:
        """Return those of these namespaces that exist, by name."""
        found = {name: self._get(f"/api/v1/namespaces/{name}") for name in names}
        return {
            name: NamespaceInfo(
                labels=made["metadata"].get("labels", {}), terminating="deletionTimestamp" in made["metadata"]
            )
            for name, made in found.items()
            if made
        }

    def storage_classes(self) -> Mapping[str, bool]:
        """Return, by the name of each storage class, whether it is the default."""
        items = (self._get("/apis/storage.k8s.io/v1/storageclasses") or {}).get("items", [])
        mark = "storageclass.kubernetes.io/is-default-class"
        return {
            item["metadata"]["name"]: (item["metadata"].get("annotations") or {}).get(mark) == "true" for item in items
        }

    def version(self) -> tuple[int, int]:
        """Return the API server's version: major, minor."""
        said = self._get("/version") or {}
        digits = ("".join(filter(str.isdigit, str(said.get(part, "0")))) or "0" for part in ("major", "minor"))
        major, minor = (int(text) for text in digits)
        return major, minor

    def serves(self, api: str) -> bool:
        """Return whether the cluster has an API group in a version, `group/version`."""
        return self._get(f"/apis/{api}") is not None

    def has_secret(self, namespace: str, name: str) -> bool:
        """Return whether a Secret exists, without reading its content."""
        return self._get(f"/api/v1/namespaces/{namespace}/secrets/{name}", accept=_METADATA_ONLY) is not None

    def claim(self, namespace: str, name: str) -> str | None:
        """Return the uid of a PersistentVolumeClaim; None if there is none."""
        claim = self._get(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}", accept=_METADATA_ONLY)
        return str(claim["metadata"]["uid"]) if claim is not None else None

    def pods(self, namespace: str, job: str | None = None) -> list[Mapping[str, Any]]:
        """Return a Job's pods in the API's shape, the newest first; without a Job, those of all."""
        selector = JOB_LABEL if job is None else f"{JOB_LABEL}={job}"
        found = self._get(f"/api/v1/namespaces/{namespace}/pods", labelSelector=selector) or {}
        return sorted(found.get("items", []), key=lambda pod: str(pod["metadata"]["creationTimestamp"]), reverse=True)

    def events(self, namespace: str) -> list[tuple[str, str]]:
        """Return whom each warning in a namespace is about, and its message, the newest first.

        Behind them, with `Killing: ` before them, the kubelet's about containers that it was told to end.
        """
        told: list[tuple[str, str]] = []
        for selector, prefix in (("type=Warning", ""), (f"reason={KILLING}", f"{KILLING}: ")):
            found = (self._get(f"/api/v1/namespaces/{namespace}/events", fieldSelector=selector) or {}).get("items", [])
            found.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""), reverse=True)
            told += [(each["involvedObject"].get("name", ""), f"{prefix}{each.get('message', '')}") for each in found]
        return told


def about(events: Iterable[tuple[str, str]], job: str) -> list[str]:
    """Return the messages about a Job and its pods, of what `ApiReader.events` returned."""
    return [message for name, message in events if f"{name}-".startswith(f"{job}-")]
