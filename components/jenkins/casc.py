"""Jenkins' configuration as code, as YAML text."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from ..settings import JenkinsSettings, Settings
from . import configuration, login

FOLDER: Final = "/etc/ci/casc"
"""Where Jenkins reads its configuration. Not in its home, where a removed file would stay."""

FILE: Final = f"{FOLDER}/jenkins.yaml"

SECRETS_FOLDER: Final = "/run/secrets"
"""Where configuration as code looks for its variables' values, one file each. Source: the plugin's secrets.adoc."""

AGENTS_FOLDER: Final = "/run/ci-agents"
"""Where the agents' secrets are, in the controller and in the agents: one file each, by the agent's name."""

_Tree = dict[str, Any]


class _Yaml(yaml.SafeDumper):
    """Writes text of several lines as a block."""


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Yaml.add_representer(str, _block)


def render(settings: Settings, hashes: Mapping[str, str]) -> str:
    """Return the whole configuration. hashes: of each account's password, by name, as `password.jbcrypt` makes it."""
    location = {"url": f"{(settings.jenkins.url or settings.url).rstrip('/')}/"}
    tree: _Tree = {"jenkins": _jenkins(settings, hashes), "unclassified": {"location": location}}
    if settings.git_token is not None:
        tree["credentials"] = _credentials(settings)
    text = yaml.dump(tree, Dumper=_Yaml, sort_keys=False, allow_unicode=True, width=120)
    own = settings.jenkins.configuration
    return text if own is None else configuration.merged(text, configuration.read(own))


def _jenkins(settings: Settings, hashes: Mapping[str, str]) -> _Tree:
    jenkins = settings.jenkins
    return {
        "systemMessage": "Pulumi keeps this Jenkins: what the stack sets is set again at every start.",
        "numExecutors": 0 if jenkins.agents else jenkins.executors,
        "mode": "NORMAL",
        "slaveAgentPort": 50000 if jenkins.agent_port is not None else -1,
        "noUsageStatistics": True,
        "crumbIssuer": "standard",
        **login.tree(jenkins, hashes),
        **({"nodes": [_node(name, jenkins) for name in agents(jenkins)]} if jenkins.agents else {}),
    }


def agents(settings: JenkinsSettings) -> list[str]:
    """Return the agents' names in Jenkins."""
    return [f"agent-{number}" for number in range(1, settings.agents + 1)]


def _node(name: str, settings: JenkinsSettings) -> _Tree:
    node = {
        "name": name,
        "remoteFS": f"/var/jenkins_home/{name}",
        "numExecutors": settings.executors,
        # By the controller's one HTTP port, so that no port for agents is needed.
        "launcher": {"inbound": {"webSocket": True}},
        "retentionStrategy": "always",
    }
    return {"permanent": node}


def _credentials(settings: Settings) -> _Tree:
    token = {
        "scope": "GLOBAL",
        "id": configuration.GIT_TOKEN,
        "description": "Reads the jobs' private repositories (ci:gitToken).",
        # Git hosts accept any user name with a token.
        "username": "git",
        "password": f"${{{configuration.GIT_TOKEN}}}",
    }
    stored: _Tree = {"credentials": [{"usernamePassword": token}]}
    jobs = [job for job in settings.jobs if job.credentials == configuration.GIT_TOKEN and job.repository]
    if hosts := sorted({urlsplit(job.repository or "").hostname or "" for job in jobs}):
        # So that a checkout of another address, a mistyped one for example, does not send the token there.
        host = {"hostnameSpecification": {"includes": ",".join(hosts)}}
        stored["domain"] = {"name": "git", "specifications": [host, {"schemeSpecification": {"schemes": "https"}}]}
    return {"system": {"domainCredentials": [stored]}}
