"""Files that act on Jenkins as it starts: scripts that run once its jobs are loaded, and the token for notifications.

The image copies what ends in `.override` into the home at every start.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ..settings import Settings
from . import casc, configuration, login

_REF: Final = "/usr/share/jenkins/ref"

NOTIFY_TOKEN_FILE: Final = f"{_REF}/hudson.plugins.git.ApiTokenPropertyConfiguration.xml.override"
"""What the plugin git keeps its tokens in. Configuration as code has no attribute for them."""

REFUSED: Final = "Refused: "
"""What each line begins with that the scripts add to the message on Jenkins' front page."""

_SCRIPTS: Final = Path(__file__).with_name("init.groovy.d")

_TOKENS: Final = """\
<?xml version='1.1' encoding='UTF-8'?>
<hudson.plugins.git.ApiTokenPropertyConfiguration>
  <apiTokens>
    <hudson.plugins.git.ApiTokenPropertyConfiguration_-HashedApiToken>
      <uuid>ci</uuid><name>ci</name><hash>{}</hash>
    </hudson.plugins.git.ApiTokenPropertyConfiguration_-HashedApiToken>
  </apiTokens>
</hudson.plugins.git.ApiTokenPropertyConfiguration>
"""


def scripts(settings: Settings) -> Mapping[str, str]:
    """Return the scripts, and what they read besides the jobs, by path in the container."""
    credentials = [] if settings.git_token is None else [configuration.GIT_TOKEN]
    if settings.jenkins.configuration is not None:
        credentials += configuration.credential_ids(configuration.read(settings.jenkins.configuration))
    agents = casc.agents(settings.jenkins)
    accounts = json.dumps({"users": login.accounts(settings.jenkins), "credentials": credentials, "agents": agents})
    files = {
        f"{_REF}/{_SCRIPTS.name}/{path.name}.override": path.read_text(encoding="utf-8")
        for path in _SCRIPTS.glob("*.groovy")
        # Without the account's file, one that stays in a home from before does nothing.
        if path.stem != "ci-login" or settings.jenkins.login == "configuration"
    }
    return {"/etc/ci/accounts.json": accounts, **files}


def wizard() -> Mapping[str, str]:
    """Return the script that removes, for the setup wizard, what an earlier `setup: casc` left to act in the home."""
    path = f"{_REF}/{_SCRIPTS.name}/ci-0-wizard.groovy.override"
    return {path: _SCRIPTS.with_name("wizard.groovy").read_text(encoding="utf-8")}


def notify_token(token: str) -> str:
    """Return the file by which Jenkins takes this token, and no other, for git/notifyCommit."""
    return _TOKENS.format(hashlib.sha256(token.encode()).hexdigest())
