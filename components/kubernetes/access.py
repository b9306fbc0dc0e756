"""Who may push: an HAProxy in the registry's pod.

The registry knows no roles: whoever logs in may push and delete. HAProxy lets an account only read, unless it is in the
list of pushers. It compares names alone; the registry behind it checks each password. Nothing else reaches the
registry, which listens on the pod's own loopback.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from components.kubernetes import restricted
from components.kubernetes.endpoints import PORT

REGISTRY_ADDRESS: Final = "127.0.0.1:5001"
"""Where the registry listens."""

CONFIGURATION: Final = "haproxy.cfg"
_FOLDER: Final = "/etc/access"
_TLS: Final = "/etc/access-tls"

_CONFIGURATION: Final = Path(__file__).with_name("access.cfg").read_text(encoding="utf-8")

_REFUSAL: Final = (
    'content-type application/json string \'{"errors":[{"code":"DENIED","message":"this account may only pull"}]}\''
)
"""In the form of the registry's own errors, which clients print. Source: the OCI distribution specification."""


def configuration(pushers: Sequence[str], *, tls: bool) -> str:
    """Return the haproxy.cfg.

    pushers: the users who may push and delete.
    tls: whether it serves TLS; else somebody else does, or nobody.
    """
    return _CONFIGURATION.format(
        port=PORT,
        tls=f" ssl crt {_TLS}/tls.pem ssl-min-ver TLSv1.2 alpn h2,http/1.1" if tls else "",
        # A line may have 64 words.
        pushers="\n".join(f"    acl pusher var(txn.user) -m str {user}" for user in pushers),
        refusal=_REFUSAL,
        registry=REGISTRY_ADDRESS,
    )


def container(image: str, probes: Mapping[str, Any], *, tls: bool) -> dict[str, Any]:
    """Return the container. probes: ask the registry through it."""
    mounts = [{"name": "access", "mount_path": _FOLDER, "read_only": True}]
    if tls:
        mounts.append({"name": "access-tls", "mount_path": _TLS, "read_only": True})
    return {
        **restricted.CONTAINER,
        "name": "access",
        "image": image,
        "command": ["haproxy", "-W", "-db", "-f", f"{_FOLDER}/{CONFIGURATION}"],
        "resources": restricted.resources(1000, 128),
        "volume_mounts": mounts,
        **probes,
    }


def volumes(files: Any, tls_secret: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - outputs
    """Return the volumes of the container, from the Secret with its configuration and the one with the certificate."""
    own = {"secret_name": files, "default_mode": 0o440, "items": [{"key": CONFIGURATION, "path": CONFIGURATION}]}
    found: list[dict[str, Any]] = [{"name": "access", "secret": own}]
    if tls_secret is not None:
        # HAProxy looks for the key beside the certificate, under the same name with `.key` behind it.
        items = [{"key": "tls.crt", "path": "tls.pem"}, {"key": "tls.key", "path": "tls.pem.key"}]
        found.append(
            {"name": "access-tls", "secret": {"secret_name": tls_secret, "default_mode": 0o440, "items": items}}
        )
    return found
