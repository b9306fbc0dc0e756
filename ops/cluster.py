"""The cluster of a stack on Kubernetes: where it is, whether its API answers, its pods."""

# ruff: noqa: PLC0415 - the official client and the components take half a second to import, for a cluster's verbs alone

from __future__ import annotations

import contextlib
import json
import shlex
from typing import TYPE_CHECKING, Any

from setup.console import OpsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kubernetes import client

    from components.kubernetes.cluster import ApiReader
    from ops.stack import Stack

LAB_KUBECONFIG = ".local/lab/kubeconfig"
"""What `make lab` writes, from the project's folder."""

SILENCE_SECONDS = 600
"""How long a command or an engine that copies may say or take nothing."""

OUT, ERROR, STATUS = 1, 2, 3
"""Channels of an exec: the first byte of each frame. Source: Kubernetes, `v4.channel.k8s.io`."""


def is_lab(stack: Stack) -> bool:
    """Whether a stack's cluster is this clone's own lab."""
    return stack.settings.kubernetes.kubeconfig == LAB_KUBECONFIG


def kubectl(stack: Stack) -> str:
    """The command by which a person reaches the stack's cluster."""
    wanted = stack.settings.kubernetes
    words = (("--kubeconfig", wanted.kubeconfig), ("--context", wanted.context))
    # A shell expands ~ outside of quotes alone.
    quoted = {
        value: "~/" * value.startswith("~/") + shlex.quote(value.removeprefix("~/")) for _, value in words if value
    }
    return " ".join(["kubectl", *(f"{option} {quoted[value]}" for option, value in words if value)])


def reader(stack: Stack) -> ApiReader:
    """What asks the stack's cluster. Nothing is read or opened before the first question."""
    from components.kubernetes.cluster import ApiReader

    return ApiReader(stack.settings.kubernetes)


def require(stack: Stack) -> None:
    """Make sure that the stack's cluster answers, before Pulumi is started.

    Pulumi would find out too, but the provider's words depend on what it was about to do. Raises OpsError when the
    kubeconfig is not there or can't be used, or the API server gives no answer.
    """
    from components.kubernetes.cluster import ReadError

    try:
        reader(stack).version()
    except ReadError as failed:
        if is_lab(stack):
            what, remedy = f"The lab of stack {stack.name} is not running", "Start it first: make lab"
        else:
            what = f"The cluster of stack {stack.name} can't be used"
            remedy = f"See whether this works: {kubectl(stack)} version. "
            remedy += f"Another one: {stack.make('set KEY=ci:kubernetes.context')}, or KEY=ci:kubernetes.kubeconfig"
        raise OpsError(f"{what}: {failed}.", remedy) from failed


@contextlib.contextmanager
def asked() -> Iterator[None]:
    """Turn what the official client raises into an OpsError."""
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    from components.kubernetes.cluster import ReadError

    try:
        yield
    except ApiException as error:
        said = str(error.body or error.reason)
        with contextlib.suppress(ValueError, KeyError, TypeError):
            said = json.loads(said)["message"]
        raise OpsError(f"The API server refused: {error.status} {said}") from error
    except (ReadError, HTTPError, OSError) as error:
        raise OpsError(f"The API server gave no answer: {error}") from error


def printed(there: ApiReader, pod: client.V1Pod, container: str, words: Sequence[str]) -> str:
    """Run a command in a container of a pod. Return what it printed, or why it did not run."""
    from kubernetes import client, stream

    execute = client.CoreV1Api(there.client).connect_get_namespaced_pod_exec
    where = {"name": pod.metadata.name, "namespace": pod.metadata.namespace, "container": container}
    wanted = {"stdout": True, "stderr": True, "_request_timeout": 20}  # seconds
    try:
        return str(stream.stream(execute, **where, command=list(words), **wanted))
    except client.ApiException as error:
        return str(error.reason)


def pipe(
    there: ApiReader, namespace: str, pod: str, words: Sequence[str], stdin: Iterable[bytes] = ()
) -> Iterator[bytes]:
    """Run a command in a pod, and give its output in pieces. Never more than a frame of it is in memory.

    stdin: what it reads, a frame for each piece. Its end can't be told to every API server, so the command has to know
        it.
    Raises OpsError when it can't be run, breaks off, or ends with another status than 0.
    """
    from kubernetes import client, stream
    from websocket import ABNF, WebSocketException

    execute, what = client.CoreV1Api(there.client).connect_get_namespaced_pod_exec, f"`{words[0]}` in the pod {pod}"
    wanted = {"stdin": True, "stdout": True, "stderr": True, "_preload_content": False, "binary": True}
    said, status = b"", b""
    try:
        socket: Any = stream.stream(execute, pod, namespace, command=list(words), **wanted)
        with contextlib.ExitStack() as last:
            last.callback(socket.sock.shutdown)  # `close` leaves a connection open that the other side has ended
            # By its frames: the client's own methods keep all that they have read.
            socket.sock.settimeout(SILENCE_SECONDS)
            for piece in stdin:
                socket.write_stdin(piece)
            while not status:
                kind, frame = socket.sock.recv_data_frame(control_frame=True)
                channel = frame.data[0] if frame.data and kind == ABNF.OPCODE_BINARY else None
                if channel == OUT and len(frame.data) > 1:
                    yield frame.data[1:]
                elif channel == ERROR:
                    said = (said + frame.data[1:])[-2000:]
                elif channel == STATUS:
                    status = frame.data[1:]
                elif kind == ABNF.OPCODE_CLOSE:
                    break
    except (client.ApiException, WebSocketException, OSError) as failed:
        reason = getattr(failed, "reason", None) or failed
        raise OpsError(f"{what} broke off: {reason} {said.decode(errors='replace')}".rstrip()) from failed
    if json.loads(status or b"{}").get("status") != "Success":
        raise OpsError(f"{what} failed: {said.decode(errors='replace').strip() or status.decode() or 'no answer'}")


def kept(claim: client.V1PersistentVolumeClaim) -> str:
    """How to keep the data of a claim that is being deleted, which goes once no pod has it; empty for any other."""
    patch = '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}'
    command = f"kubectl patch pv {claim.spec.volume_name} --patch '{patch}'"
    return f"To keep its data: {command}" if claim.metadata.deletion_timestamp else ""
