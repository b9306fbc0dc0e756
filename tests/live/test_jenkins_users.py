"""Who may log in to a real Jenkins, and what each role may do there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from components.jenkins.builds import Builds
from ops.jenkins import Jenkins
from tests.support import deployment
from tests.support.containers import inside
from tests.support.jenkins import Visitor, require_plugin
from tests.support.names import PREFIX
from tests.support.verbs import free_port
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

    from tests.support.deployment import Deployment

NAME = f"{PREFIX}-users"
PORTS = {"httpPort": free_port(), "agentPort": None}
ALICE, BOB, EVE = (
    {"name": name, "role": role} for name, role in (("alice", "developer"), ("bob", "viewer"), ("eve", "admin"))
)
GIVEN = "correct-horse-bob"
ROBOT = {"name": "robot", "script": "node { sh 'sleep 300' }"}


def configure(stack: Deployment, image: str, *users: dict[str, str]) -> None:
    own = {"image": image, "containerName": NAME, "homeVolume": f"{NAME}-home", "sample": False, **PORTS}
    stack.configure(
        platform="docker", docker={"acceptRootOnHost": True}, jenkins={**own, "users": list(users)}, jobs=[ROBOT]
    )


@pytest.fixture(scope="module")
def stack(
    engine: docker.DockerClient, real_jenkins: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    require_plugin(real_jenkins, "matrix-auth")
    with deployment.of_jenkins(tmp_path_factory.mktemp("users"), engine, f"{NAME}-home") as made:
        configure(made, real_jenkins, ALICE, BOB, EVE)
        made.pulumi("config", "set", "--secret", "--path", "ci:jenkinsPasswords.bob", stdin=GIVEN)
        made.up()
        yield made


def visitors(stack: Deployment) -> dict[str, Visitor]:
    of_stack = stack.outputs("--show-secrets")
    passwords = {"admin": of_stack["adminPassword"], **of_stack["userPasswords"]}
    return {name: Visitor(of_stack["url"], name, password) for name, password in passwords.items()}


PAGES = {
    "job/robot/": (200, 200),
    "job/robot/1/consoleText": (200, 200),
    "job/robot/config.xml": (200, 403),
    "view/all/newJob": (200, 403),
    "script": (200, 403),
    "manage/": (200, 403),
}
"""What an administrator is answered, and a user with another role."""


def robot(stack: Deployment) -> tuple[Jenkins, str]:
    """Start a build by the client that the verbs use; return it with the build's path once the build runs."""
    of_stack = stack.outputs("--show-secrets")
    jenkins = Jenkins(of_stack["url"], "admin", SecretStr(of_stack["adminPassword"]), away_seconds=240)
    item = jenkins.start("robot")
    number = eventually(lambda: isinstance(known := jenkins.started("robot", item), int) and known, seconds=60)
    return jenkins, f"job/robot/{number}"


def test_no_password_of_a_user_is_in_a_log_an_argument_an_environment_the_containers_record_or_clear_in_the_state(
    stack: Deployment, engine: docker.DockerClient
) -> None:
    printed = "".join(stack.said)
    container = engine.containers.get(NAME)
    places = {
        "output": printed,
        "log": container.logs().decode(),
        "record": json.dumps(container.attrs),
        "processes": inside(NAME, "sh", "-c", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>&1 || true"),
        "files": inside(NAME, "sh", "-c", "cat /etc/ci/casc/* /etc/ci/*.json /run/secrets/* 2>&1 || true"),
        "state": "".join(path.read_text() for path in stack.state_folder.rglob("*.json")),
    }
    passwords = stack.outputs("--show-secrets")["userPasswords"]
    assert passwords["bob"] == GIVEN
    assert {len(passwords[name]) for name in ("alice", "eve")} == {32}
    assert [(name, one) for name, text in places.items() for one in passwords.values() if one in text] == []
    assert "#jbcrypt:" in places["files"]


def test_without_a_login_or_with_a_wrong_one_nobody_gets_anything(stack: Deployment) -> None:
    url = stack.outputs("--show-secrets")["url"]
    nobody, wrong = Visitor(url), Visitor(url, "alice", "wrong-horse-battery")
    assert {nobody.get(path) for path in ("", "api/json", *PAGES)} == {403}
    assert {wrong.get(path) for path in ("", "api/json", *PAGES)} == {401}
    assert nobody.get("signup") == 404


def test_each_role_may_do_what_its_name_says_and_nothing_more(stack: Deployment) -> None:
    jenkins, build = robot(stack)
    everyone = visitors(stack)
    answers = {name: {path: visitor.get(path) for path in PAGES} for name, visitor in everyone.items()}
    assert answers == {
        name: {path: both[name in {"alice", "bob"}] for path, both in PAGES.items()}
        for name in ("admin", "alice", "bob", "eve")
    }
    bob, alice, eve = (everyone[name] for name in ("bob", "alice", "eve"))
    assert (bob.post(f"{build}/stop"), bob.post("job/robot/build")) == (403, 403)
    # Another script than the job's; with the same one, a replay is a build.
    script = json.dumps({"mainScript": "node { sh 'id' }"})
    assert alice.send(f"{build}/replay/run", json=script).status_code == 403
    assert (alice.post("job/robot/doDelete"), alice.post("quietDown"), alice.post("scriptText")) == (403, 403, 403)
    assert jenkins.result(build) is None
    assert alice.post(f"{build}/stop") == 302
    assert eventually(lambda: jenkins.result(build), seconds=60) == "ABORTED"
    assert alice.post("job/robot/build") == 201
    number, of_stack = int(build.rpartition("/")[2]) + 1, stack.outputs("--show-secrets")
    builds = Builds(of_stack["url"], "admin", of_stack["adminPassword"])
    eventually(lambda: builds.at_work() == [f"robot #{number}"], seconds=60)
    assert eve.post(f"job/robot/{number}/stop") == 302


def test_a_user_that_left_the_list_is_gone_with_its_tokens_and_a_changed_role_is_in_force(
    stack: Deployment, real_jenkins: str
) -> None:
    before = visitors(stack)
    eve = before["eve"]
    made = eve.send("me/descriptorByName/jenkins.security.ApiTokenProperty/generateNewToken", newTokenName="x").json()
    by_token = Visitor(eve.url, "eve", made["data"]["tokenValue"])
    assert by_token.get("script") == 200
    configure(stack, real_jenkins, {**ALICE, "role": "viewer"}, {**BOB, "role": "admin"})
    stack.up()
    assert [visitor.get("api/json") for visitor in (eve, by_token)] == [401, 401]
    assert "eve_" not in inside(NAME, "ls", "/var/jenkins_home/users")
    assert [*stack.outputs("--show-secrets")["userPasswords"]] == ["alice", "bob"]
    # With the passwords of before.
    assert (before["alice"].post("job/robot/build"), before["bob"].get("script")) == (403, 200)
    jenkins, build = robot(stack)
    assert before["bob"].post(f"{build}/stop") == 302
    eventually(lambda: jenkins.result(build), seconds=60)
