"""Passwords that the config does not have: generated once, kept by the engine, hashed for who only checks them."""

import base64
import json
from typing import Any

import bcrypt
import pulumi
import pytest

from components import docker, password
from components.settings import Settings
from tests.support import kubernetes_platform
from tests.support.engine import KEPT, PROJECT, STACK, Engine, is_secret, unwrap
from tests.support.settings import settings

GENERATED = 32
"""Characters of a generated password."""


def on_docker(engine: Engine, stack: Settings) -> str:
    """Deploy a stack on a Docker host; give its password."""

    def program() -> None:
        shown = pulumi.Output.from_input(dict(docker.deploy(stack))["adminPassword"])
        shown.apply(lambda known: found.append(str(known)))

    found: list[str] = []
    engine.run(program)
    return "".join(found)


def test_a_password_is_generated_and_the_engine_keeps_the_first_one(engine: Engine) -> None:
    on_docker(engine, settings(adminPassword=None))
    request = engine.requests["admin-password"]
    assert (request.type, list(request.ignoreChanges)) == ("pulumi:index:Stash", ["input"])
    kept = engine.inputs["admin-password"]["input"]
    assert is_secret(kept)
    assert len(unwrap(kept)) == GENERATED


def test_jenkins_gets_the_hash_of_the_kept_password_and_never_the_password() -> None:
    engine = Engine(preview=False)
    assert on_docker(engine, settings(adminPassword=None)) == KEPT
    container = engine.inputs["jenkins-controller"]
    files = {entry["file"]: unwrap(entry["content"]) for entry in unwrap(container["uploads"])}
    assert password.jbcrypt(KEPT, realm=f"{PROJECT}/{STACK}/admin") in files["/etc/ci/casc/jenkins.yaml"]
    others = {name: inputs for name, inputs in engine.inputs.items() if not name.endswith(("-password", "-image"))}
    assert KEPT not in json.dumps(others, default=str)


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


def test_a_password_of_the_config_is_taken_instead(engine: Engine) -> None:
    assert on_docker(engine, settings(adminPassword="correct-horse-battery")) == "correct-horse-battery"
    assert "admin-password" not in engine.requests


def test_where_jenkins_makes_its_own_password_none_is_generated(engine: Engine) -> None:
    on_docker(engine, settings(jenkins={"setup": "wizard"}, adminPassword=None))
    assert "admin-password" not in engine.requests
