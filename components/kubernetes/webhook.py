"""A receiver of git hosts' calls: an HAProxy in the watcher's pod. It checks a call, notes it, and connects nowhere."""

import base64
from pathlib import Path
from typing import Any, Final

import pulumi
from pulumi_kubernetes import core

from .. import labels
from ..settings.kubernetes import WebhookSettings
from . import ingress, restricted
from .endpoints import WEBHOOK, WEBHOOK_PORT
from .network import PUSH

CALLS_PORT: Final = 8002
"""Where the watcher asks for the last call, on the pod's own loopback."""

LONGEST_BYTES: Final = 2**18
"""Of a call. A push's is some KiB long, and GitHub sends up to 25 MB. The next look finds what is refused here."""

_CONFIGURATION: Final = Path(__file__).with_name("webhook.cfg")
_FOLDER: Final = "/etc/webhook"
VOLUME: Final = {"name": WEBHOOK, "secret": {"secret_name": WEBHOOK, "default_mode": 0o440}}
"""Of its container."""


def configuration(secret: str) -> str:
    """Return the haproxy.cfg. secret: what a call is signed with, or has as its GitLab token."""
    places = {
        "port": WEBHOOK_PORT,
        "calls-port": CALLS_PORT,
        "longest": LONGEST_BYTES,
        "bufsize": LONGEST_BYTES + 2**14,
        # As HAProxy takes a key. It has no character that a configuration could read in another way.
        "secret": base64.b64encode(secret.encode()).decode(),
    }
    text = _CONFIGURATION.read_text(encoding="utf-8")
    for place, value in places.items():
        text = text.replace(f"@{place}@", str(value))
    return text


def container(image: str) -> dict[str, Any]:
    """Return the container."""
    return {
        **restricted.CONTAINER,
        "name": WEBHOOK,
        "image": image,
        "command": ["haproxy", "-W", "-db", "-f", f"{_FOLDER}/haproxy.cfg"],
        "ports": [{"name": WEBHOOK, "container_port": WEBHOOK_PORT, "protocol": "TCP"}],
        "readiness_probe": {"tcp_socket": {"port": WEBHOOK_PORT}, "period_seconds": 5},
        "resources": restricted.resources(200, 128, 64),
        "volume_mounts": [{"name": WEBHOOK, "mount_path": _FOLDER, "read_only": True}],
    }


def expose(name: str, settings: WebhookSettings, namespace: pulumi.Input[str], opts: pulumi.ResourceOptions) -> None:
    """Register the Service, and the Ingress if there is one."""
    port = {"name": WEBHOOK, "port": WEBHOOK_PORT, "target_port": WEBHOOK_PORT, "protocol": "TCP"}
    on_nodes = {"node_port": settings.node_port} if settings.node_port is not None else {}
    meta = {"name": WEBHOOK, "namespace": namespace}
    core.v1.Service(
        f"{name}-webhook-service",
        metadata={**meta, "labels": labels.PART},
        spec={
            "type": "NodePort" if on_nodes else "ClusterIP",
            "selector": {labels.APP: PUSH},
            "ports": [{**port, **on_nodes}],
        },
        opts=opts,
    )
    if settings.ingress is not None:
        name = f"{name}-webhook"
        ingress.register(name, meta, settings.host, settings.ingress, WEBHOOK_PORT, settings.tls_secret, opts)
