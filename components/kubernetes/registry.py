"""The registry: a server with users, its certificate, its way in, and its collections."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_kubernetes import batch, core, networking, rbac

from components.kubernetes import server
from components.kubernetes.addresses import MIRROR, PORT, REGISTRY
from components.kubernetes.network import APP, RESTARTER
from components.kubernetes.server import ServerArgs
from components.settings import RegistrySettings

_TLS_SECRET: Final = "registry-tls"  # noqa: S105 - a name
_RESTART_SECONDS: Final = 300
"""How long the restart may take: it deletes a pod or two and waits for nothing."""


@dataclass(frozen=True, kw_only=True)
class RegistryArgs:
    """What the registry is made from."""

    settings: RegistrySettings
    names: tuple[str, ...]
    """The names that its certificate must carry."""

    namespace: pulumi.Input[str]
    kubectl_image: str
    files: pulumi.Output[Mapping[str, str]]
    """`config.yml` and `htpasswd`. A secret."""

    certificate: str | None = None
    """The certificate in PEM, its chain behind it, where it is given as a file."""

    certificate_key: pulumi.Output[str] | None = None
    """Its private key. A secret."""


class Registry(pulumi.ComponentResource):
    """An image registry with users, on a volume that outlives the stack."""

    tls_secret: pulumi.Output[str] | None
    """The Secret that holds the certificate; None over plain HTTP."""

    tls_digest: str | None
    """Changes with the certificate's file, and with what an issuer is asked for. A renewed one is not seen here."""

    cluster_ip: pulumi.Output[str | None]
    """The Service's address in the cluster."""

    volume: pulumi.Output[str | None]
    """The volume's uid: another one holds none of the images that were pushed before."""

    def __init__(self, name: str, args: RegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the registry with all that belongs to it."""
        super().__init__(
            "ci:kubernetes:Registry", name, {"image": args.settings.image, "names": list(args.names)}, opts
        )
        mine = pulumi.ResourceOptions(parent=self)
        settings, collection = args.settings, args.settings.garbage_collection
        self.tls_secret = _certificate(name, args, mine)
        self.tls_digest = _certificate_digest(args)
        service, volume = server.run(
            name,
            ServerArgs(
                app=REGISTRY,
                namespace=args.namespace,
                image=settings.image,
                files=args.files,
                files_digest=digest(args.files),
                storage_gib=settings.storage_gib,
                storage_class=settings.storage_class,
                cpu_millicores=settings.cpu_millicores,
                memory_mib=settings.memory_mib,
                tls_secret=self.tls_secret if settings.ingress is None else None,
                tls_digest=self.tls_digest,
                node_port=settings.node_port,
                collect=(["--delete-untagged"] if collection.delete_untagged else []) if collection else None,
            ),
            mine,
        )
        self.cluster_ip = service.spec.apply(lambda spec: spec.cluster_ip)
        self.volume = volume.metadata.apply(lambda meta: meta.uid)
        if settings.ingress is not None:
            _ingress(name, args, self.tls_secret, mine)
        if collection is not None:
            _restart(name, args, collection.schedule, mine)
        self.register_outputs({"tlsSecret": self.tls_secret, "clusterIp": self.cluster_ip})


def digest(files: pulumi.Output[Mapping[str, str]]) -> pulumi.Output[str]:
    """Give what changes when one of the files does, and tells nothing else about them."""
    found = files.apply(lambda known: hashlib.sha256(repr(sorted(known.items())).encode()).hexdigest()[:16])
    # As a secret, it would hide the whole pod from every preview. The signing secret in the files makes it unguessable.
    return pulumi.Output.unsecret(found)


def _certificate_digest(args: RegistryArgs) -> str | None:
    tls = args.settings.tls
    if tls is None or tls.secret_name is not None:
        return None
    decides = args.certificate or repr((tls.issuer_kind, tls.issuer, args.names))
    return hashlib.sha256(decides.encode()).hexdigest()[:16]


def _certificate(name: str, args: RegistryArgs, opts: pulumi.ResourceOptions) -> pulumi.Output[str] | None:
    tls = args.settings.tls
    if tls is None:
        return None
    if tls.secret_name is not None:
        return pulumi.Output.from_input(tls.secret_name)
    meta = {"name": _TLS_SECRET, "namespace": args.namespace}
    if args.certificate is not None and args.certificate_key is not None:
        made = core.v1.Secret(
            f"{name}-tls",
            metadata=meta,
            type="kubernetes.io/tls",
            string_data={"tls.crt": args.certificate, "tls.key": args.certificate_key},
            opts=opts,
        )
        of_file: pulumi.Output[str] = made.metadata.apply(lambda meta: meta.name or _TLS_SECRET)
        return of_file
    from pulumi_kubernetes import apiextensions  # noqa: PLC0415 - only with cert-manager

    issued = apiextensions.CustomResource(
        f"{name}-certificate",
        api_version="cert-manager.io/v1",
        kind="Certificate",
        metadata={**meta, "annotations": {"pulumi.com/waitFor": "condition=Ready"}},
        spec={
            "secretName": _TLS_SECRET,
            **_asked_for(args.names),
            "issuerRef": {"group": "cert-manager.io", "kind": tls.issuer_kind, "name": tls.issuer},
            "privateKey": {"rotationPolicy": "Always"},
        },
        opts=opts,
    )
    of_issuer: pulumi.Output[str] = issued.id.apply(lambda _: _TLS_SECRET)
    return of_issuer


def _asked_for(names: tuple[str, ...]) -> dict[str, list[str]]:
    """Give a Certificate's names, and its addresses apart: a client that looks for an address passes over names."""
    numbers = [name for name in names if re.fullmatch(r"[0-9]+(?:\.[0-9]+){3}", name)]
    asked = {"dnsNames": [name for name in names if name not in numbers], "ipAddresses": numbers}
    return {key: found for key, found in asked.items() if found}


def _ingress(
    name: str, args: RegistryArgs, tls_secret: pulumi.Output[str] | None, opts: pulumi.ResourceOptions
) -> None:
    ingress, host = args.settings.ingress, (args.settings.host or "").partition(":")[0]
    if ingress is None:
        return
    backend = {"service": {"name": REGISTRY, "port": {"number": PORT}}}
    networking.v1.Ingress(
        f"{name}-ingress",
        # Not every controller notes an address in the Ingress, and for those the provider would wait ten minutes.
        metadata={
            "name": REGISTRY,
            "namespace": args.namespace,
            "annotations": {**ingress.annotations, "pulumi.com/skipAwait": "true"},
        },
        spec={
            "ingress_class_name": ingress.class_name,
            "tls": [{"hosts": [host], "secret_name": tls_secret}] if tls_secret is not None else None,
            "rules": [{"host": host, "http": {"paths": [{"path": "/", "path_type": "Prefix", "backend": backend}]}}],
        },
        opts=opts,
    )


def _restart(name: str, args: RegistryArgs, schedule: str, opts: pulumi.ResourceOptions) -> None:
    """Register what ends the registry's pod on a schedule; the next pod collects before it serves.

    It ends a mirror's too where that speaks TLS, since a process reads a renewed certificate at its start alone.
    """
    settings = args.settings
    mirror_too = settings.mirror is not None and settings.tls is not None and settings.ingress is None
    pods = [f"{REGISTRY}-0", *([f"{MIRROR}-0"] if mirror_too else [])]
    meta: dict[str, Any] = {"name": RESTARTER, "namespace": args.namespace, "labels": {APP: RESTARTER}}
    account = core.v1.ServiceAccount(
        f"{name}-restarter", metadata=meta, automount_service_account_token=False, opts=opts
    )
    role = rbac.v1.Role(
        f"{name}-restart-role",
        metadata=meta,
        # By their names, and no more.
        rules=[{"api_groups": [""], "resources": ["pods"], "resource_names": pods, "verbs": ["get", "delete"]}],
        opts=opts,
    )
    binding = rbac.v1.RoleBinding(
        f"{name}-restart-binding",
        metadata=meta,
        role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": role.metadata.name},
        subjects=[{"kind": "ServiceAccount", "name": account.metadata.name, "namespace": args.namespace}],
        opts=opts,
    )
    bounds = {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "64Mi"}
    container = {
        "name": "kubectl",
        "image": args.kubectl_image,
        "image_pull_policy": "IfNotPresent",
        # `kubectl` by its name, since the official image has it on its path and no shell.
        "command": ["kubectl", "delete", "pod", *pods, "--ignore-not-found", "--wait=false", "--cache-dir=/tmp/cache"],
        "resources": {"requests": {**bounds, "cpu": "10m"}, "limits": bounds},
        "security_context": {
            "allow_privilege_escalation": False,
            "read_only_root_filesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volume_mounts": [{"name": "tmp", "mount_path": "/tmp"}],  # noqa: S108 - in the container
        "termination_message_policy": "FallbackToLogsOnError",
    }
    pod_spec = {
        "restart_policy": "Never",
        "service_account_name": account.metadata.name,
        "automount_service_account_token": True,
        "enable_service_links": False,
        "security_context": {
            "run_as_non_root": True,
            "run_as_user": 65532,
            "run_as_group": 65532,
            "seccomp_profile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "tmp", "empty_dir": {"size_limit": "32Mi"}}],
    }
    batch.v1.CronJob(
        f"{name}-restart",
        metadata=meta,
        spec={
            "schedule": schedule,
            "concurrency_policy": "Forbid",
            "starting_deadline_seconds": 3600,
            "successful_jobs_history_limit": 1,
            "failed_jobs_history_limit": 1,
            "job_template": {
                "spec": {
                    "active_deadline_seconds": _RESTART_SECONDS,
                    "backoff_limit": 2,
                    "template": {"metadata": {"labels": {APP: RESTARTER}}, "spec": pod_spec},
                }
            },
        },
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[binding])),
    )
