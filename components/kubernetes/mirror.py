"""A second registry that keeps what builds pull from a public one."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from components.kubernetes import server
from components.kubernetes.addresses import MIRROR
from components.kubernetes.registry import digest
from components.kubernetes.server import ServerArgs
from components.settings import RegistrySettings


@dataclass(frozen=True, kw_only=True)
class MirrorArgs:
    """What the mirror is made from."""

    settings: RegistrySettings
    namespace: pulumi.Input[str]
    files: pulumi.Output[Mapping[str, str]]
    """`config.yml`. A secret."""

    tls_secret: pulumi.Output[str] | None
    tls_digest: str | None


class Mirror(pulumi.ComponentResource):
    """A pull-through registry. Only builds reach it, so it asks for no login; nobody can push to it."""

    def __init__(self, name: str, args: MirrorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the mirror. It forgets by itself what was not asked for in a while, and needs no collection."""
        mirror = args.settings.mirror
        if mirror is None:
            raise AssertionError
        super().__init__("ci:kubernetes:Mirror", name, {"upstream": mirror.upstream}, opts)
        server.run(
            name,
            ServerArgs(
                app=MIRROR,
                namespace=args.namespace,
                image=args.settings.image,
                files=args.files,
                files_digest=digest(args.files),
                storage_gib=mirror.storage_gib,
                storage_class=args.settings.storage_class,
                cpu_millicores=args.settings.cpu_millicores,
                memory_mib=args.settings.memory_mib,
                tls_secret=args.tls_secret,
                tls_digest=args.tls_digest,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
