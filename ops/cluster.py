"""The cluster of a stack on Kubernetes: where it is by the stack's settings, whether it can be reached, and its API."""

# ruff: noqa: PLC0415 - the official client takes a second to import, which only the verbs that ask a cluster should pay

from __future__ import annotations

import dataclasses
import functools
import http.client
import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

from ops.toolchain.console import OpsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ops.stack import Stack

LAB_KUBECONFIG = ".local/lab/kubeconfig"
"""What `make lab` writes, from the project's folder."""

REACH_SECONDS = 5.0
"""How long the API server may take to accept a connection. One that is further away than that is of no use."""

ANSWER_SECONDS = 20.0
"""How long one question may take."""


class ApiError(OpsError):
    """The API server refused something, or gave no answer."""

    def __init__(self, what: str, status: int, remedy: str = "") -> None:
        """Take the sentence and HTTP's status, 0 for no answer."""
        super().__init__(what, remedy)
        self.status = status


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a stack's cluster is."""

    kubeconfig: Path | None
    """The file that the settings name; None to look where kubectl looks."""
    context: str | None
    """The context that they name; None for the current one."""
    lab: bool
    """Whether it is this clone's own lab."""

    @property
    def kubectl(self) -> str:
        """The command by which a person reaches the same cluster."""
        words = ["kubectl"]
        words += ["--kubeconfig", LAB_KUBECONFIG if self.lab else str(self.kubeconfig)] if self.kubeconfig else []
        words += ["--context", self.context] if self.context else []
        return " ".join(words)

    def server(self) -> str:
        """The API server's address, as the kubeconfig has it; empty where this can't be told in a moment.

        It can't where the settings name no file, since kubectl then joins several, and behind a proxy.

        Raises:
            OpsError: when the file is no kubeconfig, or lacks the context.
        """
        if self.kubeconfig is None:
            return ""
        try:
            known = yaml.safe_load(self.kubeconfig.read_text()) or {}
        except (OSError, ValueError, yaml.YAMLError) as failed:
            raise OpsError(f"{self.kubeconfig} is no kubeconfig: {failed}", code=2) from failed
        wanted = self.context or known.get("current-context")
        context = _named(known.get("contexts"), wanted).get("context") or {}
        cluster = _named(known.get("clusters"), context.get("cluster")).get("cluster") or {}
        proxied = cluster.get("proxy-url") or os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
        return "" if proxied else str(cluster.get("server") or "")


def of(stack: Stack) -> Place:
    """The place of a stack's cluster, by its settings."""
    wanted, root = stack.settings.kubernetes, stack.clone.root
    path = root / Path(wanted.kubeconfig).expanduser() if wanted.kubeconfig else None
    return Place(path, wanted.context, lab=path == root / LAB_KUBECONFIG)


def require(stack: Stack) -> None:
    """Make sure that the stack's cluster accepts connections, in milliseconds and before Pulumi is started.

    Pulumi would find out too, but the provider's words depend on what it was about to do.

    Raises:
        OpsError: when the kubeconfig is not there, or nothing accepts a connection at the address in it.
    """
    place, name = of(stack), stack.name
    remedy = "Start it first: make lab"
    if place.kubeconfig is not None and not place.kubeconfig.is_file():
        where = f"{place.kubeconfig} does not exist"
        if place.lab:
            raise OpsError(f"Stack {name} is for the lab, which is not up: {where}.", remedy)
        raise OpsError(
            f"Stack {name} names the kubeconfig {place.kubeconfig}, which does not exist.",
            "Give another: make set KEY=ci:kubernetes.kubeconfig, for example ~/.kube/config",
            code=2,
        )
    server = place.server()
    failed = _unreachable(server) if server else ""
    if failed and place.lab:
        raise OpsError(f"Stack {name} is for the lab, which does not answer at {server} ({failed}).", remedy)
    if failed:
        raise OpsError(
            f"The cluster of stack {name} does not answer at {server} ({failed}).",
            f"See whether this does: {place.kubectl} version; what else is known: make doctor STACK={name}",
        )


def _named(entries: object, name: object) -> dict[str, Any]:
    """The entry of a kubeconfig's list that has a name; empty where there is none."""
    known = entries if isinstance(entries, list) else []
    return next((entry for entry in known if isinstance(entry, dict) and entry.get("name") == name), {})


def _unreachable(server: str) -> str:
    """Why no connection can be made, in a few words; empty if one can."""
    parts = urlsplit(server)
    try:
        port = parts.port or http.client.HTTPS_PORT
        with socket.create_connection((parts.hostname or "", port), timeout=REACH_SECONDS):
            return ""
    except (OSError, ValueError) as failed:
        return str(getattr(failed, "strerror", None) or failed)


class Cluster:
    """The API of one cluster. Each method raises ApiError when there is no good answer."""

    def __init__(self, place: Place) -> None:
        """Keep the place. The kubeconfig is read at the first question."""
        self.place = place

    @functools.cached_property
    def api(self) -> Any:  # noqa: ANN401 - the official client has no types
        """The official client's connection pool.

        Raises:
            OpsError: when the kubeconfig can't be used.
        """
        from kubernetes import config

        connect: Any = config.new_client_from_config  # without types
        file = str(self.place.kubeconfig) if self.place.kubeconfig else None
        try:
            return connect(config_file=file, context=self.place.context)
        except (config.ConfigException, OSError) as error:
            raise OpsError(f"The kubeconfig can't be used: {error}", "See: kubectl config get-contexts") from error

    @property
    def server(self) -> str:
        """The API server's address."""
        return str(self.api.configuration.host)

    def ask(self, path: str, *, method: str = "GET", body: object = None, **query: str) -> Any:  # noqa: ANN401 - JSON
        """One request, and the JSON that comes back.

        Args:
            path: of the API, as `/api/v1/namespaces`.
            method: HTTP's.
            body: what is sent, as JSON.
            query: parameters.
        """
        return json.loads(self._open(path, method, body, query, ANSWER_SECONDS).data)

    def _open(self, path: str, method: str, body: object, query: Mapping[str, str], seconds: float) -> Any:  # noqa: ANN401 - urllib3's
        """One request; its answer may not be read yet."""
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        request = self.api.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params={"Accept": "application/json, */*", "Content-Type": "application/json"},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            answer = self.api.call_api(*request, _request_timeout=(REACH_SECONDS, seconds)).response
            if answer.status < http.client.BAD_REQUEST:
                return answer
            refused, said = answer.status, _message(answer.data)
        except (ApiException, HTTPError, OSError) as error:
            raise ApiError(f"{self.server} gave no answer: {_root(error)}", 0) from error
        raise ApiError(f"{self.server} refused {method} {path}: {refused} {said}", refused)

    def find(self, path: str) -> dict[str, Any] | None:
        """One object; None where there is none of this name."""
        try:
            found: dict[str, Any] = self.ask(path)
        except ApiError as error:
            if error.status == http.client.NOT_FOUND:
                return None
            raise
        return found

    def items(self, path: str, **query: str) -> list[dict[str, Any]]:
        """The objects of a list."""
        found: list[dict[str, Any]] = self.ask(path, **query).get("items") or []
        return found

    def follow(self, namespace: str, pod: str, seconds: int) -> Iterator[str]:
        """A pod's log line by line as it is written, until its container ends or says nothing for so many seconds."""
        from urllib3.exceptions import HTTPError

        answer = self._open(f"/api/v1/namespaces/{namespace}/pods/{pod}/log", "GET", None, {"follow": "true"}, seconds)
        try:
            for line in answer:
                yield line.decode(errors="replace").rstrip("\r\n")
        except (HTTPError, OSError):
            return  # What became of the pod is asked for next, and says more than a broken connection.

    def run(self, namespace: str, pod: str, *command: str) -> str:
        """Run a command in a pod's only container, and give all that it printed."""
        from kubernetes import client, stream

        execute = client.CoreV1Api(self.api).connect_get_namespaced_pod_exec
        words = {"command": list(command), "stdout": True, "stderr": True, "_request_timeout": ANSWER_SECONDS}
        try:
            return str(stream.stream(execute, pod, namespace, **words))
        except (client.ApiException, OSError) as error:
            raise ApiError(f"{self.server} refused to run {command[0]} in {pod}: {str(error)[:200]}", 0) from error


def _message(body: bytes) -> str:
    """What the API server says, out of its Status object if it sent one."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")[:200]


def _root(error: BaseException) -> str:
    """The innermost reason of a failed connection: the outer ones repeat address and path."""
    reason = getattr(error, "reason", None)
    return _root(reason) if isinstance(reason, BaseException) else str(reason or error)
