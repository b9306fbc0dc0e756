"""Passwords that the config does not have: generated once, kept by the engine, hashed for who only checks them."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import bcrypt
import pulumi
import pytest
import yaml

from components import docker, password
from tests.support import kubernetes_platform
from tests.support.engine import KEPT, PROJECT, STACK, Engine, is_secret, unwrap
from tests.support.settings import PASSWORD, settings

GENERATED = 32
"""Characters of a generated password."""


def test_a_password_is_generated_and_kept_by_the_engine_and_jenkins_gets_its_hash_alone(engine: Engine) -> None:
    shown: list[str] = []

    def program() -> None:
        outputs = docker.DockerCi("ci", settings(adminPassword=None)).outputs
        pulumi.Output.from_input(outputs["adminPassword"]).apply(lambda known: shown.append(str(known)))

    engine.run(program)
    request, kept = engine.requests["admin-password"], engine.inputs["admin-password"]["input"]
    assert (request.type, list(request.ignoreChanges)) == ("pulumi:index:Stash", ["input"])
    assert is_secret(kept)
    assert len(unwrap(kept)) == GENERATED
    if not engine.preview:
        assert shown == [KEPT]
        container = engine.inputs["jenkins-controller"]
        files = {entry["file"]: unwrap(entry["content"]) for entry in unwrap(container["uploads"])}
        assert password.jbcrypt(KEPT, realm=f"{PROJECT}/{STACK}/admin") in files["/etc/ci/casc/jenkins.yaml"]
        assert is_secret(engine.inputs["deployed"]["input"])  # for the next wait
        kept_in = ("-password", "-image", "deployed")
        others = {name: inputs for name, inputs in engine.inputs.items() if not name.endswith(kept_in)}
        assert KEPT not in json.dumps(others, default=str)


def test_each_user_of_jenkins_has_a_password_of_its_own_and_jenkins_gets_the_hashes_and_the_rights_alone(
    engine: Engine,
) -> None:
    shown: list[Any] = []
    users = [
        {"name": "alice", "role": "developer"},
        {"name": "bob", "role": "viewer"},
        {"name": "eve", "role": "admin"},
    ]

    def program() -> None:
        given = settings(jenkins={"users": users}, jenkinsPasswords={"bob": "correct-horse-bob"})
        pulumi.Output.from_input(docker.DockerCi("ci", given).outputs["userPasswords"]).apply(shown.append)

    engine.run(program)
    assert sorted(name for name in engine.requests if name.startswith("jenkins-password-")) == [
        "jenkins-password-alice",
        "jenkins-password-eve",
    ]
    assert is_secret(engine.inputs["jenkins-password-alice"]["input"])
    if not engine.preview:
        clear = {"admin": PASSWORD, "alice": KEPT, "bob": "correct-horse-bob", "eve": KEPT}
        assert shown == [{name: clear[name] for name in ("alice", "bob", "eve")}]
        uploads = unwrap(engine.inputs["jenkins-controller"]["uploads"])
        files = {entry["file"]: unwrap(entry["content"]) for entry in uploads}
        jenkins = yaml.safe_load(files["/etc/ci/casc/jenkins.yaml"])["jenkins"]
        hashes = {user["id"]: user["password"] for user in jenkins["securityRealm"]["local"]["users"]}
        assert hashes == {name: password.jbcrypt(one, realm=f"{PROJECT}/{STACK}/{name}") for name, one in clear.items()}
        entries = [entry["user"] for entry in jenkins["authorizationStrategy"]["globalMatrix"]["entries"]]
        administrators = [entry["name"] for entry in entries if "Overall/Administer" in entry["permissions"]]
        assert ([entry["name"] for entry in entries], administrators) == ([*clear], ["admin", "eve"])
        assert json.loads(files["/etc/ci/accounts.json"])["users"] == [*clear]
        assert is_secret(engine.inputs["deployed"]["input"])
        others = {name: inputs for name, inputs in engine.inputs.items() if not re.search("-password|^deployed$", name)}
        assert not [one for one in clear.values() if one in json.dumps(others, default=str)]


def test_with_a_realm_of_ones_own_the_verbs_have_a_generated_password_and_people_have_none_of_the_stacks(
    engine: Engine, tmp_path: Path
) -> None:
    outputs: dict[str, Any] = {}
    own = tmp_path / "own.yaml"
    strategy = "loggedInUsersCanDoAnything: {allowAnonymousRead: false}"
    own.write_text(f"jenkins: {{securityRealm: {{ldap: {{}}}}, authorizationStrategy: {{{strategy}}}}}")

    def program() -> None:
        given = settings(adminPassword=None, jenkins={"login": "configuration", "configuration": str(own)})
        pulumi.Output.from_input(dict(docker.DockerCi("ci", given).outputs)).apply(outputs.update)

    engine.run(program)
    assert "verbs-password" in engine.inputs
    assert "admin-password" not in engine.inputs
    if not engine.preview:
        assert (outputs["adminUser"], outputs["adminPassword"]) == (None, None)
        assert outputs["verbs"] == {"user": "ci-stack", "password": KEPT}
        uploads = unwrap(engine.inputs["jenkins-controller"]["uploads"])
        files = {entry["file"]: unwrap(entry["content"]) for entry in uploads}
        assert json.loads(files["/etc/ci/verbs.json"])["sha256"] == hashlib.sha256(KEPT.encode()).hexdigest()
        assert "users" not in files["/etc/ci/casc/jenkins.yaml"]
        assert KEPT not in json.dumps(engine.inputs["jenkins-controller"], default=str)


@pytest.mark.parametrize(
    ("given", "pushing", "pulling"),
    [
        ({}, KEPT, KEPT),
        ({"registryPassword": "correct-horse-battery"}, "correct-horse-battery", KEPT),
        ({"registryPullPassword": "correct-horse-battery"}, KEPT, "correct-horse-battery"),
    ],
)
def test_builds_and_nodes_have_an_account_of_their_own_each_with_its_password(
    given: dict[str, Any], pushing: str, pulling: str
) -> None:
    made = kubernetes_platform.deploy(
        Engine(preview=False), **{"registryPassword": None, "registryPullPassword": None, **given}
    )
    lines = made["registry-files"]["stringData"]["htpasswd"].splitlines()
    hashes = dict(line.split(":", 1) for line in lines)
    for user, kept, login in (("ci", pushing, "login-registry-push"), ("pull", pulling, "login-registry-pull")):
        assert bcrypt.checkpw(kept.encode(), hashes[user].encode())
        auths = json.loads(made[login]["stringData"][".dockerconfigjson"])["auths"]
        assert {base64.b64decode(each["auth"]) for each in auths.values()} == {f"{user}:{kept}".encode()}
