"""Who may log in to Jenkins, and what each role may do, as configuration as code."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from ..settings import JenkinsSettings
from ..settings.jenkins import Role

VERBS_USER: Final = "ci-stack"
"""The account of the stack's own verbs where the realm is another's. No realm knows it."""

VERBS_FILE: Final = "/etc/ci/verbs.json"
"""Its name, and the SHA-256 of its password: 192 random bits, which nobody can guess from it."""

ADMINISTER: Final = "Overall/Administer"

PERMISSIONS: Final[Mapping[Role, tuple[str, ...]]] = {
    "admin": (ADMINISTER,),
    # Neither Job/Configure nor Run/Replay: each runs a pipeline of one's own, and that reaches the Docker engine.
    "developer": ("Overall/Read", "View/Read", "Job/Read", "Job/Build", "Job/Cancel", "Job/Workspace"),
    "viewer": ("Overall/Read", "View/Read", "Job/Read"),
}
"""What a role may do. Jenkins itself has all of these, so an image without some plugin starts as well."""


def accounts(settings: JenkinsSettings) -> list[str]:
    """Return the names of the accounts that the stack makes in Jenkins, the administrator's first."""
    if settings.login == "configuration":
        return []
    return [settings.admin_user, *(user.name for user in settings.users)]


def tree(settings: JenkinsSettings, hashes: Mapping[str, str]) -> dict[str, Any]:
    """Return Jenkins' realm and rights. hashes: of each account's password, by name, as `password.jbcrypt` makes it."""
    if settings.login == "configuration":
        return {}
    users = [
        {"id": name, "name": "Administrator" if name == settings.admin_user else name, "password": hashes[name]}
        for name in accounts(settings)
    ]
    return {
        "securityRealm": {"local": {"allowsSignup": False, "users": users}},
        # Explicit, since the plugin's default lets everybody read.
        "authorizationStrategy": _matrix(settings)
        if settings.users
        else {"loggedInUsersCanDoAnything": {"allowAnonymousRead": False}},
    }


def verbs(password: str) -> str:
    """Return the file by which the script ci-login lets the verbs in. password: generated, not chosen by people."""
    return json.dumps({"user": VERBS_USER, "sha256": hashlib.sha256(password.encode()).hexdigest()})


def _matrix(settings: JenkinsSettings) -> dict[str, Any]:
    rights = {settings.admin_user: PERMISSIONS["admin"]} | {
        user.name: PERMISSIONS[user.role] for user in settings.users
    }
    entries = [{"user": {"name": name, "permissions": list(granted)}} for name, granted in rights.items()]
    return {"globalMatrix": {"entries": entries}}
