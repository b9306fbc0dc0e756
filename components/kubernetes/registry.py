"""The registry with its certificate and its ingress, and the pull-through mirror."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import pulumi
from pulumi_kubernetes import core

from .. import certificates, password
from ..settings import Settings
from ..settings.secret_fields import text_of
from . import access, collection, endpoints, ingress, server, texts
from .endpoints import MIRROR, PORT, REGISTRY
from .namespaces import StackArgs
from .server import ServerArgs

_TLS_SECRET: Final = "registry-tls"  # noqa: S105 - a name


@dataclass(frozen=True, kw_only=True)
class RegistryArgs(StackArgs):
    """The inputs of a registry."""

    password: pulumi.Output[str]
    pull_password: pulumi.Output[str]
    """Of the account that may push, and of the one that may only pull."""


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
        settings, namespace, names = args.settings.registry, args.spaces.registry, endpoints.names(args.settings)
        super().__init__("ci:kubernetes:Registry", name, {"image": settings.image, "names": list(names)}, opts)
        mine, garbage = pulumi.ResourceOptions(parent=self), settings.garbage_collection
        self.tls_secret, self.tls_digest = _certificate(name, args, names, mine)
        service, volume = server.run(
            name,
            ServerArgs(
                app=REGISTRY,
                namespace=namespace,
                settings=settings,
                files=pulumi.Output.all(args.password, args.pull_password).apply(partial(_files, args.settings)),
                storage_gib=settings.storage_gib,
                tls_secret=self.tls_secret if settings.ingress is None else None,
                tls_digest=self.tls_digest,
            ),
            mine,
        )
        self.cluster_ip = service.spec.apply(lambda spec: spec.cluster_ip)
        self.volume = volume.metadata.apply(lambda meta: meta.uid)
        if settings.ingress is not None:
            meta: dict[str, pulumi.Input[str]] = {"name": REGISTRY, "namespace": namespace}
            ingress.register(name, meta, settings.host, settings.ingress, PORT, self.tls_secret, mine)
        if garbage is not None:
            # A process reads a renewed certificate only at its start, so a mirror that serves TLS restarts as well.
            mirror_too = settings.mirror is not None and settings.tls is not None and settings.ingress is None
            pods = [f"{server.stateful_set(app)}-0" for app in (REGISTRY, *([MIRROR] if mirror_too else []))]
            collection.restarts(name, args, garbage.schedule, pods, mine)
        self.register_outputs({"tlsSecret": self.tls_secret, "clusterIp": self.cluster_ip})


@dataclass(frozen=True, kw_only=True)
class MirrorArgs(StackArgs):
    """The inputs of a mirror."""

    registry: Registry
    password: pulumi.Output[str]
    """The registry's, of which the mirror's own secret is made."""


class Mirror(pulumi.ComponentResource):
    """A pull-through registry. Only builds can reach it, so it has no login. Nobody can push to it."""

    def __init__(self, name: str, args: MirrorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the server. It deletes images that were not pulled for a while, so it needs no collection."""
        mirror, upstream = args.settings.registry.mirror, args.settings.mirror_password
        if mirror is None:
            raise AssertionError
        super().__init__("ci:kubernetes:Mirror", name, {"upstream": mirror.upstream}, opts)
        server.run(
            name,
            ServerArgs(
                app=MIRROR,
                namespace=args.spaces.registry,
                settings=args.settings.registry,
                files=pulumi.Output.all(args.password, upstream and text_of(upstream)).apply(
                    partial(_mirror_files, args.settings)
                ),
                storage_gib=mirror.storage_gib,
                tls_secret=args.registry.tls_secret if endpoints.of(args.settings).tls_in_pod else None,
                tls_digest=args.registry.tls_digest,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})


def _realm(purpose: str) -> str:
    """Return a name that is this stack's alone, for what is derived from a password."""
    return f"{purpose}:{pulumi.get_project()}/{pulumi.get_stack()}"


def _files(settings: Settings, passwords: Sequence[str]) -> Mapping[str, str]:
    """Return the registry's files by name. passwords: of the account that may push, and of the one that may pull."""
    registry = settings.registry
    users = (registry.user, registry.pull_user)
    hashes = {
        user: password.bcrypted(one, realm=f"{_realm('registry')}/{user}", cost=password.REGISTRY_COST)
        for user, one in zip(users, passwords, strict=True)
    }
    hashes |= {user.name: user.password_hash for user in registry.users}
    pushers = {registry.user: (), **{user.name: user.repositories for user in registry.users if user.push}}
    return {
        "config.yml": texts.configuration(secret=texts.signing_secret(passwords[0], _realm("registry"))),
        "htpasswd": "".join(f"{user}:{of}\n" for user, of in hashes.items()),
        access.CONFIGURATION: access.configuration(pushers, tls=endpoints.of(settings).tls_in_pod),
    }


def _mirror_files(settings: Settings, passwords: Sequence[str | None]) -> Mapping[str, str]:
    own, upstream = passwords
    signing, tls = texts.signing_secret(own or "", _realm("mirror")), endpoints.of(settings).tls_in_pod
    return {"config.yml": texts.mirror_configuration(settings.registry, tls=tls, secret=signing, password=upstream)}


def _certificate(
    name: str, args: RegistryArgs, names: Sequence[str], opts: pulumi.ResourceOptions
) -> tuple[pulumi.Output[str] | None, str | None]:
    """Register the certificate; return its Secret and what changes with it, as `tls_secret` and `tls_digest` say."""
    tls, key = args.settings.registry.tls, args.settings.registry_tls_key
    if tls is None:
        return None, None
    if tls.secret_name is not None:
        return pulumi.Output.from_input(tls.secret_name), None
    meta = {"name": _TLS_SECRET, "namespace": args.spaces.registry}
    if tls.certificate_file is not None and key is not None:
        certificate = certificates.read(tls.certificate_file)
        made = core.v1.Secret(
            f"{name}-tls",
            metadata=meta,
            type="kubernetes.io/tls",
            string_data={"tls.crt": certificate, "tls.key": text_of(key)},
            opts=opts,
        )
        return made.metadata.apply(lambda meta: meta.name or _TLS_SECRET), server.short(certificate)
    from pulumi_kubernetes import apiextensions  # noqa: PLC0415 - only with cert-manager

    issued = apiextensions.CustomResource(
        f"{name}-certificate",
        api_version="cert-manager.io/v1",
        kind="Certificate",
        metadata={**meta, "annotations": {"pulumi.com/waitFor": "condition=Ready"}},
        spec={
            "secretName": _TLS_SECRET,
            **_subject_names(names),
            "issuerRef": {"group": "cert-manager.io", "kind": tls.issuer_kind, "name": tls.issuer},
            "privateKey": {"rotationPolicy": "Always"},
        },
        opts=opts,
    )
    decides = repr((tls.issuer_kind, tls.issuer, names))
    return issued.id.apply(lambda _: _TLS_SECRET), server.short(decides)


def _subject_names(names: Sequence[str]) -> dict[str, list[str]]:
    """Return a Certificate's names and, apart from them, its addresses: clients do not look for these in the names."""
    addresses = [name for name in names if re.fullmatch(r"[0-9]+(?:\.[0-9]+){3}", name)]
    found = {"dnsNames": [name for name in names if name not in addresses], "ipAddresses": addresses}
    return {key: values for key, values in found.items() if values}
