"""What the registry and its mirror have in common: one process on one volume."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_kubernetes import apps, core

from components.kubernetes import texts
from components.kubernetes.addresses import PORT
from components.kubernetes.network import APP

_USER: Final = 65_532
"""The user and group that the registry runs as. The official image names none; no node has one of so high a number."""

_STOP_SECONDS: Final = 60
"""How long the registry may take to finish what it is doing. Its own draining takes 50."""

_COLLECT_AT_MOST_EVERY_MINUTES: Final = 720
"""Half a day: a pod that is moved twice in a night does not collect twice."""

_COLLECT: Final = f"""\
stamp={texts.DATA}/.collected
if [ -d {texts.DATA}/docker ] && [ -z "$(find "$stamp" -mmin -{_COLLECT_AT_MOST_EVERY_MINUTES} 2>/dev/null)" ]; then
  touch "$stamp"
  {{
    registry garbage-collect $FLAGS /etc/distribution/config.yml 2>&1 \\
      || echo "the collection failed; nothing is lost, the next one tries again"
  }} | tail -n 5
fi
exit 0
"""
"""Runs before the registry does, so nobody can push meanwhile. Nothing keeps the registry from starting: not a failure,
not a full volume, not a collection that is killed for want of memory, which is not begun again at once, and not a line
for each of a million layers, since the last few are all that is kept."""


@dataclass(frozen=True, kw_only=True)
class ServerArgs:
    """One registry process."""

    app: str
    """Its name, and that of its Service, its volume and its pod (with `-0`)."""

    namespace: pulumi.Input[str]
    image: str
    files: pulumi.Input[Mapping[str, str]]
    """Files of /etc/distribution by name. A secret."""

    files_digest: pulumi.Input[str]
    """Changes with the files, so that the process is started again with them."""

    storage_gib: int
    storage_class: str | None
    cpu_millicores: int
    memory_mib: int
    tls_secret: pulumi.Input[str] | None
    """The Secret with the certificate, for a process that speaks TLS itself."""

    tls_digest: pulumi.Input[str] | None = None
    """Changes with the certificate, which the process reads at its start alone; None where nobody here knows it."""

    node_port: int | None = None
    collect: Sequence[str] | None = None
    """Collect garbage before the start, with these flags; None does not."""


def run(
    name: str, args: ServerArgs, opts: pulumi.ResourceOptions
) -> tuple[core.v1.Service, core.v1.PersistentVolumeClaim]:
    """Register the volume, the files, the pod and the Service under `opts.parent`; give the Service and the volume."""
    labels = {APP: args.app, "app.kubernetes.io/part-of": "ci"}
    meta = {"name": args.app, "namespace": args.namespace, "labels": labels}
    kept = pulumi.ResourceOptions.merge(
        opts,
        # A claim can't be changed in these, and to replace it would be to lose the images.
        pulumi.ResourceOptions(
            retain_on_delete=True, ignore_changes=["spec.storageClassName", "spec.volumeName", "spec.accessModes"]
        ),
    )
    volume = core.v1.PersistentVolumeClaim(
        f"{name}-volume",
        # The pod is waited for, and it can't start without. For a claim that is taken over, bound since long, the
        # provider would wait in vain.
        metadata={**meta, "annotations": {"pulumi.com/skipAwait": "true"}},
        spec={
            "access_modes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": f"{args.storage_gib}Gi"}},
            **({"storage_class_name": args.storage_class} if args.storage_class else {}),
        },
        opts=kept,
    )
    account = core.v1.ServiceAccount(f"{name}-account", metadata=meta, automount_service_account_token=False, opts=opts)
    files = core.v1.Secret(f"{name}-files", metadata=meta, string_data=args.files, opts=opts)
    marks = {"ci/files": args.files_digest}
    if args.tls_secret is not None and args.tls_digest is not None:
        marks["ci/certificate"] = args.tls_digest
    apps.v1.StatefulSet(
        f"{name}-server",
        # The Service is not depended on: it waits for this pod.
        metadata=meta,
        spec={
            "service_name": args.app,
            # One, since two processes on one volume would not see each other's uploads. A StatefulSet never starts the
            # second before the first has ended, whatever happens to the node.
            "replicas": 1,
            "selector": {"match_labels": {APP: args.app}},
            "template": {
                "metadata": {"labels": labels, "annotations": marks},
                "spec": _pod(args, volume.metadata.name, files.metadata.name, account.metadata.name),
            },
        },
        opts=opts,
    )
    port: dict[str, Any] = {"name": "registry", "port": PORT, "target_port": PORT, "protocol": "TCP"}
    if args.node_port is not None:
        port["node_port"] = args.node_port
    service = core.v1.Service(
        f"{name}-service",
        # The provider waits until its endpoints are the same for ten seconds. Builds need that: a name is known to the
        # cluster's DNS, and its address to every node, some time after the Service is there.
        metadata=meta,
        spec={
            "type": "NodePort" if args.node_port is not None else "ClusterIP",
            "selector": {APP: args.app},
            "ports": [port],
        },
        opts=opts,
    )
    return service, volume


def _pod(args: ServerArgs, claim: Any, files: Any, account: Any) -> dict[str, Any]:  # noqa: ANN401 - outputs
    scheme = "HTTPS" if args.tls_secret is not None else "HTTP"
    mounts = [
        {"name": "files", "mount_path": "/etc/distribution", "read_only": True},
        {"name": "data", "mount_path": texts.DATA},
        {"name": "tmp", "mount_path": "/tmp"},  # noqa: S108 - in the container
    ]
    volumes: list[dict[str, Any]] = [
        {"name": "files", "secret": {"secret_name": files, "default_mode": 0o440}},
        {"name": "data", "persistent_volume_claim": {"claim_name": claim}},
        {"name": "tmp", "empty_dir": {"size_limit": "64Mi"}},
    ]
    if args.tls_secret is not None:
        mounts.append({"name": "tls", "mount_path": texts.TLS_FOLDER, "read_only": True})
        volumes.append({"name": "tls", "secret": {"secret_name": args.tls_secret, "default_mode": 0o440}})
    common = {
        "image": args.image,
        "image_pull_policy": "IfNotPresent",
        "resources": {
            "requests": {
                "cpu": f"{max(args.cpu_millicores // 10, 1)}m",
                "memory": f"{args.memory_mib}Mi",
                "ephemeral-storage": "64Mi",
            },
            "limits": {
                "cpu": f"{args.cpu_millicores}m",
                "memory": f"{args.memory_mib}Mi",
                "ephemeral-storage": "256Mi",
            },
        },
        "security_context": {
            "allow_privilege_escalation": False,
            "read_only_root_filesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volume_mounts": mounts,
        "termination_message_policy": "FallbackToLogsOnError",
    }
    pod: dict[str, Any] = {
        "service_account_name": account,
        "automount_service_account_token": False,
        "enable_service_links": False,
        "termination_grace_period_seconds": _STOP_SECONDS,
        "security_context": {
            "run_as_non_root": True,
            "run_as_user": _USER,
            "run_as_group": _USER,
            "fs_group": _USER,
            # A volume with a million files would otherwise take minutes to mount.
            "fs_group_change_policy": "OnRootMismatch",
            "seccomp_profile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                **common,
                "name": args.app,
                "args": ["serve", "/etc/distribution/config.yml"],
                # The registry would send traces to a collector on its own host, and log that there is none.
                "env": [{"name": "OTEL_TRACES_EXPORTER", "value": "none"}],
                "ports": [{"name": "registry", "container_port": PORT, "protocol": "TCP"}],
                # "/" answers before anyone logs in; "/v2/" does not.
                "readiness_probe": {
                    "http_get": {"path": "/", "port": PORT, "scheme": scheme},
                    "period_seconds": 2,
                    "failure_threshold": 5,
                },
                "liveness_probe": {
                    "tcp_socket": {"port": PORT},
                    "initial_delay_seconds": 10,
                    "period_seconds": 20,
                    "failure_threshold": 6,
                },
            }
        ],
        "volumes": volumes,
    }
    if args.collect is not None:
        pod["init_containers"] = [
            {
                **common,
                "name": "collect",
                "command": ["/bin/sh", "-uc", _COLLECT],
                "env": [
                    {"name": "OTEL_TRACES_EXPORTER", "value": "none"},
                    {"name": "FLAGS", "value": " ".join(args.collect)},
                ],
            }
        ]
    return pod
