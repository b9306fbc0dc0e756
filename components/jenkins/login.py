"""Who may log in to Jenkins, and what each role may do, as configuration as code."""

from collections.abc import Mapping
from typing import Any, Final

from components.settings import JenkinsSettings
from components.settings.jenkins import Role

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
    return [settings.admin_user, *(user.name for user in settings.users)]


def tree(settings: JenkinsSettings, hashes: Mapping[str, str]) -> dict[str, Any]:
    """Return Jenkins' realm and rights. hashes: of each account's password, by name, as `password.jbcrypt` makes it."""
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


def _matrix(settings: JenkinsSettings) -> dict[str, Any]:
    rights = {settings.admin_user: PERMISSIONS["admin"]} | {
        user.name: PERMISSIONS[user.role] for user in settings.users
    }
    entries = [{"user": {"name": name, "permissions": list(granted)}} for name, granted in rights.items()]
    return {"globalMatrix": {"entries": entries}}
