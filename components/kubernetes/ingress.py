"""A Service behind the cluster's ingress controller."""

from collections.abc import Mapping

import pulumi
from pulumi_kubernetes import networking

from ..settings.kubernetes import IngressSettings


def register(  # noqa: PLR0913, PLR0917 - what an Ingress has
    name: str,
    meta: Mapping[str, pulumi.Input[str]],
    host: str | None,
    settings: IngressSettings,
    port: int,
    tls_secret: pulumi.Input[str] | None,
    opts: pulumi.ResourceOptions,
) -> None:
    """Register the Ingress. meta: namespace and name, also of the Service. host: a name, whose port is left out."""
    host = (host or "").partition(":")[0]
    backend = {"service": {"name": meta["name"], "port": {"number": port}}}
    networking.v1.Ingress(
        f"{name}-ingress",
        # Some controllers never set the Ingress's address, and then the provider would wait for ten minutes.
        metadata={**meta, "annotations": {**settings.annotations, "pulumi.com/skipAwait": "true"}},
        spec={
            "ingress_class_name": settings.class_name,
            "tls": [{"hosts": [host], "secret_name": tls_secret}] if tls_secret is not None else None,
            "rules": [{"host": host, "http": {"paths": [{"path": "/", "path_type": "Prefix", "backend": backend}]}}],
        },
        # Before it is there in another namespace: a controller may refuse a second one for a host and a path.
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(delete_before_replace=True)),
    )
