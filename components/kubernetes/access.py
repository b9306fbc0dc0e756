"""Who may push: an HAProxy in the registry's pod.

The registry knows no roles: whoever logs in may push and delete. HAProxy lets an account only read, unless it is among
the pushers, and write only to the repositories that a pusher has. It compares names and paths alone; the registry
behind it checks each password. Nothing else reaches the registry, which listens on the pod's own loopback.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from . import restricted
from .endpoints import PORT

REGISTRY_ADDRESS: Final = "127.0.0.1:5001"
"""Where the registry listens."""

CONFIGURATION: Final = "haproxy.cfg"
_FOLDER: Final = "/etc/access"
_TLS: Final = "/etc/access-tls"

_CONFIGURATION: Final = Path(__file__).with_name("access.cfg").read_text(encoding="utf-8")

_REFUSAL: Final = (
    'content-type application/json string \'{{"errors":[{{"code":"DENIED","message":"this account may {may}"}}]}}\''
)
"""In the form of the registry's own errors, which clients print. Source: the OCI distribution specification."""


_BELOW: Final = r"[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*"
"""One name or more of a repository's path. Source: the grammar of the package distribution/reference."""

_WRITTEN: Final = r"(manifests/[A-Za-z0-9_][A-Za-z0-9_.:-]*|blobs/sha(256|512):[0-9a-f]+|blobs/uploads/[A-Za-z0-9_=-]*)"
"""What is behind a repository in the path of a write. Source: the OCI distribution specification, "Endpoints"."""


def configuration(pushers: Mapping[str, Sequence[str]], *, tls: bool) -> str:
    """Return the haproxy.cfg.

    pushers: the users who may push and delete, each with the repositories where; none of them means everywhere.
    tls: whether it serves TLS; else somebody else does, or nobody.
    """
    return _CONFIGURATION.format(
        port=PORT,
        tls=f" ssl crt {_TLS}/tls.pem ssl-min-ver TLSv1.2 alpn h2,http/1.1" if tls else "",
        pushers="\n".join(_pushers(pushers)),
        refusal=_REFUSAL.format(may="only pull"),
        registry=REGISTRY_ADDRESS,
    )


def _pushers(pushers: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield the lines. A line may have 64 words, so each user and each repository has one."""
    limited = {user: repositories for user, repositories in pushers.items() if repositories}
    for user in [user for user in pushers if user not in limited]:
        yield f"    acl pusher var(txn.user) -m str {user}"
    for user, repositories in limited.items():
        yield f"    acl limited var(txn.user) -m str {user}"
        for repository in repositories:
            yield (
                "    http-request set-var(txn.may) bool(true) "
                f"if {{ var(txn.user) -m str {user} }} {{ path -m reg {_writes(repository)} }}"
            )
    if limited:
        yield "    acl pusher var(txn.may) -m bool"
        refusal = _REFUSAL.format(may="not push to this repository")
        yield f"    http-request deny deny_status 403 {refusal} if basic whole limited !pusher !reads"


def _writes(repository: str) -> str:
    """Return the expression for the whole path of a write to a repository, or below it where that ends in `/*`.

    It lists the characters that a path may have. So the registry has nothing to decode, to clean or to cut, and can't
    see another repository.
    """
    name, wildcard, _ = repository.partition("/*")
    return f"^/v2/{name.replace('.', '[.]')}/{f'{_BELOW}/' if wildcard else ''}{_WRITTEN}$"


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
