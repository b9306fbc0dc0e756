"""The texts that the registry reads: its configuration, its users, and the logins of those who reach it. Pure."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from components.kubernetes.addresses import PORT
from components.settings import RegistrySettings

DATA = "/var/lib/registry"
USERS_FILE = "/etc/distribution/htpasswd"
TLS_FOLDER = "/etc/tls"
_DRAIN_SECONDS = 50


def configuration(*, tls: bool, secret: str) -> str:
    """Give the registry's config.yml.

    secret: signs the state of an upload that a client holds. With a new one at every start, a restart would end every
    upload; see `signing_secret`.
    """
    return _yaml(
        {
            "version": 0.1,
            "log": {"level": "info", "formatter": "text"},
            "storage": {
                "filesystem": {"rootdirectory": DATA},
                # Whoever may push may delete; the space comes back with the next collection.
                "delete": {"enabled": True},
                "maintenance": {"uploadpurging": {"enabled": True, "age": "168h", "interval": "24h", "dryrun": False}},
            },
            "auth": {"htpasswd": {"realm": "registry", "path": USERS_FILE}},
            "http": {**_http(tls=tls), "secret": secret},
        }
    )


def mirror_configuration(registry: RegistrySettings, *, tls: bool, secret: str, password: str | None) -> str:
    """Give the config.yml of the pull-through mirror."""
    mirror = registry.mirror
    if mirror is None:
        raise AssertionError
    login = {"username": mirror.user, "password": password} if mirror.user else {}
    return _yaml(
        {
            "version": 0.1,
            "log": {"level": "info", "formatter": "text"},
            "storage": {"filesystem": {"rootdirectory": DATA}, "delete": {"enabled": True}},
            "proxy": {"remoteurl": mirror.upstream, "ttl": f"{mirror.keep_hours}h", **login},
            "http": {**_http(tls=tls), "secret": secret},
        }
    )


def _http(*, tls: bool) -> dict[str, Any]:
    http: dict[str, Any] = {
        "addr": f":{PORT}",
        "draintimeout": f"{_DRAIN_SECONDS}s",
        "headers": {"X-Content-Type-Options": ["nosniff"]},
    }
    if tls:
        http["tls"] = {"certificate": f"{TLS_FOLDER}/tls.crt", "key": f"{TLS_FOLDER}/tls.key", "minimumtls": "tls1.2"}
    return http


def _yaml(value: Mapping[str, Any]) -> str:
    return yaml.safe_dump(value, sort_keys=False)


def signing_secret(password: str, purpose: str) -> str:
    """Give a secret that stays the same from run to run, and from which the password can't be had back quickly."""
    return hmac.new(
        hashlib.scrypt(password.encode(), salt=purpose.encode(), n=2**12, r=8, p=1), b"", "sha256"
    ).hexdigest()


def users_file(own: str, own_hash: str, registry: RegistrySettings) -> str:
    """Give the htpasswd file: the user that builds push with, and the further ones."""
    lines = [f"{own}:{own_hash}", *(f"{user.name}:{user.password_hash}" for user in registry.users)]
    return "\n".join(lines) + "\n"


def docker_config(hosts: Sequence[str], user: str, password: str, more: Mapping[str, Any] | None = None) -> str:
    """Give the docker config.json with one login for these hosts, and more logins by host."""
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    return json.dumps({"auths": {**(more or {}), **{host: {"auth": auth} for host in hosts}}}, sort_keys=True)
