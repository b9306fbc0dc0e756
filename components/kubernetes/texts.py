"""The texts that the registry and its clients read: configuration, users, logins. Pure."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from ..settings import RegistrySettings
from . import access
from .endpoints import PORT

DATA = "/var/lib/registry"
USERS_FILE = "/etc/distribution/htpasswd"
TLS_FOLDER = "/etc/tls"
_DRAIN_SECONDS = 50


def configuration(*, secret: str) -> str:
    """Return the registry's config.yml. Clients reach it through `access` alone.

    secret: signs the state of an upload, which the client keeps. It has to survive restarts; see `signing_secret`.
    """
    purge = {"enabled": True, "age": "168h", "interval": "24h", "dryrun": False}
    return _written(
        access.REGISTRY_ADDRESS,
        secret,
        storage={"maintenance": {"uploadpurging": purge}},
        own={"auth": {"htpasswd": {"realm": "registry", "path": USERS_FILE}}},
    )


def mirror_configuration(registry: RegistrySettings, *, tls: bool, secret: str, password: str | None) -> str:
    """Return the config.yml of the pull-through mirror."""
    mirror = registry.mirror
    if mirror is None:
        raise AssertionError
    login = {"username": mirror.user, "password": password} if mirror.user else {}
    proxy = {"remoteurl": mirror.upstream, "ttl": f"{mirror.keep_hours}h", **login}
    return _written(f":{PORT}", secret, tls=tls, own={"proxy": proxy})


def _written(
    address: str, secret: str, *, own: Mapping[str, Any], storage: Mapping[str, Any] | None = None, tls: bool = False
) -> str:
    """Return a config.yml. own: the section that only one of the two has."""
    files = {"certificate": f"{TLS_FOLDER}/tls.crt", "key": f"{TLS_FOLDER}/tls.key", "minimumtls": "tls1.2"}
    found = {
        "version": 0.1,
        "log": {"level": "info", "formatter": "text"},
        "storage": {
            "filesystem": {"rootdirectory": DATA},
            # Whoever may push may delete. The next garbage collection frees the space.
            "delete": {"enabled": True},
            **(storage or {}),
        },
        **own,
        "http": {
            "addr": address,
            "draintimeout": f"{_DRAIN_SECONDS}s",
            "headers": {"X-Content-Type-Options": ["nosniff"]},
            **({"tls": files} if tls else {}),
            "secret": secret,
        },
    }
    return yaml.safe_dump(found, sort_keys=False)


def signing_secret(password: str, purpose: str) -> str:
    """Return a secret that is the same in every run. Guessing the password from it is slow."""
    return hmac.new(
        hashlib.scrypt(password.encode(), salt=purpose.encode(), n=2**12, r=8, p=1), b"", "sha256"
    ).hexdigest()


def docker_config(hosts: Sequence[str], user: str, password: str, more: Mapping[str, Any] | None = None) -> str:
    """Return a docker config.json with one login for these hosts, and more logins by host."""
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    return json.dumps({"auths": {**(more or {}), **{host: {"auth": auth} for host in hosts}}}, sort_keys=True)
