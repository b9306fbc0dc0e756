"""A registry process on one volume: what the registry and its mirror have in common."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_kubernetes import apps, core

from .. import labels
from ..settings import RegistrySettings
from . import access, collection, restricted, retention, texts
from .endpoints import MIRROR, PORT, REGISTRY

_STOP_SECONDS: Final = 60
"""How long the registry may take to end. It gives running uploads 50 seconds."""


IMMUTABLE: Final = ["spec.storageClassName", "spec.volumeName", "spec.accessModes"]
"""Fields of a volume claim that can't be changed."""


@dataclass(frozen=True, kw_only=True)
class ServerArgs:
    """The inputs of a registry process."""

    app: str
    """The name of its Service and its volume: REGISTRY, which clients reach through HAProxy and whose garbage is
    collected before each start, or MIRROR."""

    namespace: pulumi.Input[str]
    settings: RegistrySettings
    """Image, resources and storage class."""

    files: pulumi.Output[Mapping[str, str]]
    """Files in /etc/distribution by name. A secret. The process restarts when they change."""

    storage_gib: int
    tls_secret: pulumi.Input[str] | None
    """The Secret with the certificate, for a process that serves TLS itself."""

    tls_digest: pulumi.Input[str] | None = None
    """Changes with the certificate, since the process reads it only at its start; None if it is not known here."""


def stateful_set(app: str) -> str:
    """Return the name of a server's StatefulSet. Its pod has `-0` behind it."""
    return f"{app}-server"


def digest(files: pulumi.Output[Mapping[str, str]]) -> pulumi.Output[str]:
    """Return a digest that changes when one of the files does."""
    found = files.apply(lambda known: short(repr(sorted(known.items()))))
    # A secret would hide the whole pod in previews. Nobody can guess the files from it, since they contain a secret.
    return pulumi.Output.unsecret(found)


def short(text: str) -> str:
    """Return a digest of a text, for an annotation that changes with it."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def claim(storage_gib: int, storage_class: str | None) -> dict[str, Any]:
    """Return the spec of a volume claim. storage_class: None takes the cluster's default."""
    return {
        "access_modes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": f"{storage_gib}Gi"}},
        **({"storage_class_name": storage_class} if storage_class else {}),
    }


def run(
    name: str, args: ServerArgs, opts: pulumi.ResourceOptions
) -> tuple[core.v1.Service, core.v1.PersistentVolumeClaim]:
    """Register the volume, the files, the pod and the Service under `opts.parent`; return Service and volume."""
    meta = {"name": args.app, "namespace": args.namespace, "labels": {labels.APP: args.app, **labels.PART}}
    kept = pulumi.ResourceOptions.merge(
        opts,
        # A replacement would lose the images.
        pulumi.ResourceOptions(retain_on_delete=True, ignore_changes=IMMUTABLE),
    )
    volume = core.v1.PersistentVolumeClaim(
        f"{name}-volume",
        # The pod can't become ready without its volume, and the provider waits for the pod. It would wait for ever for
        # a claim that an earlier stack left and that is bound already.
        metadata={**meta, "annotations": {"pulumi.com/skipAwait": "true"}},
        spec=claim(args.storage_gib, args.settings.storage_class),
        opts=kept,
    )
    account = core.v1.ServiceAccount(f"{name}-account", metadata=meta, automount_service_account_token=False, opts=opts)
    files = core.v1.Secret(f"{name}-files", metadata=meta, string_data=args.files, opts=opts)
    digests: dict[str, pulumi.Input[str]] = {labels.FILES: digest(args.files)}
    if args.tls_secret is not None and args.tls_digest is not None:
        digests[labels.CERTIFICATE] = args.tls_digest
    template: Mapping[str, Any] = {
        "metadata": {"labels": meta["labels"], "annotations": digests},
        "spec": _pod(args, volume.metadata.name, files.metadata.name, account.metadata.name),
    }
    server = apps.v1.StatefulSet(
        f"{name}-server",
        # It can't depend on the Service, which waits for this pod.
        metadata={**meta, "name": stateful_set(args.app)},
        spec={
            "service_name": args.app,
            # Two processes on one volume would not see each other's uploads. A StatefulSet never starts the second one
            # before the first has ended, even if the node fails.
            "replicas": 1,
            # The default, OrderedReady, never replaces a pod that is not ready: after a wrong image, a right one would
            # have no effect.
            "pod_management_policy": "Parallel",
            "selector": {"match_labels": {labels.APP: args.app}},
            "template": template,
        },
        # The old process ends first, since both would write to one volume.
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(delete_before_replace=True)),
    )
    port: dict[str, Any] = {"name": "registry", "port": PORT, "target_port": PORT, "protocol": "TCP"}
    node_port = args.settings.node_port if args.app == REGISTRY else None
    if node_port is not None:
        port["node_port"] = node_port
    service = core.v1.Service(
        f"{name}-service",
        # The provider waits until its endpoints have not changed for ten seconds. Builds need that, since the cluster's
        # DNS and all nodes know a new Service only after a while. The same holds for another pod: the provider calls a
        # StatefulSet updated before the old pod has ended. So each change of the pod changes the Service too.
        metadata={**meta, "annotations": {labels.POD: pulumi.Output.json_dumps(template, sort_keys=True).apply(short)}},
        spec={
            "type": "NodePort" if node_port is not None else "ClusterIP",
            "selector": {labels.APP: args.app},
            "ports": [port],
        },
        # Before it is there in another namespace: the API server gives a port of the nodes once.
        opts=pulumi.ResourceOptions.merge(
            opts, pulumi.ResourceOptions(depends_on=[server], delete_before_replace=True)
        ),
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
    settings = args.settings
    if args.tls_secret is not None and args.app == MIRROR:
        mounts.append({"name": "tls", "mount_path": texts.TLS_FOLDER, "read_only": True})
        volumes.append({"name": "tls", "secret": {"secret_name": args.tls_secret, "default_mode": 0o440}})
    common = {
        **restricted.CONTAINER,
        "image": settings.image,
        "resources": restricted.resources(settings.cpu_millicores, settings.memory_mib),
        "volume_mounts": mounts,
    }
    # "/" answers without a login, "/v2/" does not.
    probes = restricted.probes(PORT, "/", scheme=scheme)
    pod: dict[str, Any] = {
        # On a volume with a million files, changing the group of each at every mount would take minutes.
        **restricted.pod(token=False, fs_group=restricted.USER, fs_group_change_policy="OnRootMismatch"),
        "service_account_name": account,
        "termination_grace_period_seconds": _STOP_SECONDS,
        "containers": [
            {
                **common,
                "name": args.app,
                "args": ["serve", "/etc/distribution/config.yml"],
                # Otherwise it looks for a collector of traces on its own host, and logs that there is none.
                "env": [{"name": "OTEL_TRACES_EXPORTER", "value": "none"}],
                "ports": [{"name": "registry", "container_port": PORT, "protocol": "TCP"}],
                **probes,
            }
        ],
        "volumes": volumes,
    }
    if args.app == REGISTRY:
        pod["containers"].append(access.container(settings.access_image, probes, tls=args.tls_secret is not None))
        pod["volumes"] += access.volumes(files, args.tls_secret)
        if (garbage := settings.garbage_collection) is not None:
            flags = ["--delete-untagged"] if garbage.delete_untagged else []
            pod["init_containers"] = [collection.container(common, flags, settings.keep)]
        if settings.keep is not None:
            pod["volumes"].append(retention.VOLUME)
    return pod
