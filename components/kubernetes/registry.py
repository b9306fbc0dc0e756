"""The registry with its certificate and its ingress, and the pull-through mirror."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes import core

from components.kubernetes import collection, ingress, server
from components.kubernetes.endpoints import MIRROR, PORT, REGISTRY
from components.kubernetes.server import ServerArgs
from components.settings import RegistrySettings

_TLS_SECRET: Final = "registry-tls"  # noqa: S105 - a name


@dataclass(frozen=True, kw_only=True)
class RegistryArgs:
    """The inputs of a registry."""

    settings: RegistrySettings
    names: tuple[str, ...]
    """The names that its certificate must have."""

    namespace: pulumi.Input[str]
    kubectl_image: str
    files: pulumi.Output[Mapping[str, str]]
    """`config.yml`, `htpasswd` and `haproxy.cfg`. A secret."""

    certificate: str | None = None
    """The certificate and its chain in PEM, if it is given as a file."""

    certificate_key: pulumi.Output[str] | None = None
    """The certificate's private key. A secret."""


class Registry(pulumi.ComponentResource):
    """An image registry with users. Its volume outlives the stack."""

    tls_secret: pulumi.Output[str] | None
    """The Secret with the certificate; None over plain HTTP."""

    tls_digest: str | None
    """Changes with the certificate's file, and with the names asked of an issuer. Renewals are not seen here."""

    cluster_ip: pulumi.Output[str | None]
    """The Service's address in the cluster."""

    volume: pulumi.Output[str | None]
    """The volume's uid. A volume with another uid has none of the images pushed before."""

    def __init__(self, name: str, args: RegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the server, its certificate, its ingress and its garbage collection."""
        super().__init__(
            "ci:kubernetes:Registry", name, {"image": args.settings.image, "names": list(args.names)}, opts
        )
        mine = pulumi.ResourceOptions(parent=self)
        settings, garbage = args.settings, args.settings.garbage_collection
        self.tls_secret = _certificate(name, args, mine)
        self.tls_digest = _certificate_digest(args)
        service, volume = server.run(
            name,
            ServerArgs(
                app=REGISTRY,
                namespace=args.namespace,
                settings=settings,
                files=args.files,
                storage_gib=settings.storage_gib,
                tls_secret=self.tls_secret if settings.ingress is None else None,
                tls_digest=self.tls_digest,
                node_port=settings.node_port,
                access_image=settings.access_image,
                collect=(["--delete-untagged"] if garbage.delete_untagged else []) if garbage else None,
                keep=settings.keep,
            ),
            mine,
        )
        self.cluster_ip = service.spec.apply(lambda spec: spec.cluster_ip)
        self.volume = volume.metadata.apply(lambda meta: meta.uid)
        if settings.ingress is not None:
            meta = {"name": REGISTRY, "namespace": args.namespace}
            ingress.register(name, meta, settings.host, settings.ingress, PORT, self.tls_secret, mine)
        if garbage is not None:
            # A process reads a renewed certificate only at its start, so a mirror that serves TLS restarts as well.
            mirror_too = settings.mirror is not None and settings.tls is not None and settings.ingress is None
            collection.restarts(
                name,
                schedule=garbage.schedule,
                pods=[f"{server.stateful_set(app)}-0" for app in (REGISTRY, *([MIRROR] if mirror_too else []))],
                image=args.kubectl_image,
                shell_image=settings.image if settings.keep is not None else None,
                namespace=args.namespace,
                opts=mine,
            )
        self.register_outputs({"tlsSecret": self.tls_secret, "clusterIp": self.cluster_ip})


@dataclass(frozen=True, kw_only=True)
class MirrorArgs:
    """The inputs of a mirror."""

    settings: RegistrySettings
    namespace: pulumi.Input[str]
    files: pulumi.Output[Mapping[str, str]]
    """`config.yml`. A secret."""

    tls_secret: pulumi.Output[str] | None
    tls_digest: str | None


class Mirror(pulumi.ComponentResource):
    """A pull-through registry. Only builds can reach it, so it has no login. Nobody can push to it."""

    def __init__(self, name: str, args: MirrorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the server. It deletes images that were not pulled for a while, so it needs no collection."""
        mirror = args.settings.mirror
        if mirror is None:
            raise AssertionError
        super().__init__("ci:kubernetes:Mirror", name, {"upstream": mirror.upstream}, opts)
        server.run(
            name,
            ServerArgs(
                app=MIRROR,
                namespace=args.namespace,
                settings=args.settings,
                files=args.files,
                storage_gib=mirror.storage_gib,
                tls_secret=args.tls_secret,
                tls_digest=args.tls_digest,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})


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
            **_subject_names(args.names),
            "issuerRef": {"group": "cert-manager.io", "kind": tls.issuer_kind, "name": tls.issuer},
            "privateKey": {"rotationPolicy": "Always"},
        },
        opts=opts,
    )
    of_issuer: pulumi.Output[str] = issued.id.apply(lambda _: _TLS_SECRET)
    return of_issuer


def _subject_names(names: tuple[str, ...]) -> dict[str, list[str]]:
    """Return a Certificate's names and, apart from them, its addresses: clients do not look for these in the names."""
    addresses = [name for name in names if re.fullmatch(r"[0-9]+(?:\.[0-9]+){3}", name)]
    found = {"dnsNames": [name for name in names if name not in addresses], "ipAddresses": addresses}
    return {key: values for key, values in found.items() if values}
