"""A real Jenkins with the realm of the user's own file: who gets in, and how the stack's verbs do."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from components.jenkins.builds import Builds
from ops import jenkins as of_ops
from tests.support import deployment
from tests.support.containers import inside
from tests.support.jenkins import Visitor, require_plugin
from tests.support.names import PREFIX
from tests.support.verbs import free_port
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

    from ops.jenkins import Jenkins
    from tests.support.deployment import Deployment

NAME = f"{PREFIX}-login"
PORTS = {"httpPort": free_port(), "agentPort": None}
OWN = """jenkins:
  securityRealm:
    ldap:
      # Nothing listens there: the directory is away.
      configurations: [{server: "ldap://127.0.0.1:9", rootDN: "dc=example,dc=org"}]
  authorizationStrategy:
    globalMatrix:
      entries:
        - group: {name: ci-admins, permissions: [Overall/Administer]}
"""


def configure(stack: Deployment, image: str, **jenkins: Any) -> None:
    own = {"image": image, "containerName": NAME, "homeVolume": f"{NAME}-home", "sample": False, **PORTS, **jenkins}
    job = {"name": "robot", "script": "node { sh 'echo hello; sleep 5' }"}
    stack.configure(platform="docker", docker={"acceptRootOnHost": True}, jenkins=own, jobs=[job])


@pytest.fixture(scope="module")
def stack(
    engine: docker.DockerClient, real_jenkins: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    for plugin in ("ldap", "matrix-auth"):
        require_plugin(real_jenkins, plugin)
    with deployment.of_jenkins(tmp_path_factory.mktemp("login"), engine, f"{NAME}-home") as made:
        (made.root / "own.yaml").write_text(OWN)
        configure(made, real_jenkins, login="configuration", configuration="own.yaml")
        made.up()
        yield made


def verbs(of_stack: dict[str, Any]) -> Jenkins:
    """Return the client that the verbs make of a stack's outputs."""
    # With another host than the outputs', `of` does not look for a stand-in.
    elsewhere = SimpleNamespace(docker=SimpleNamespace(host="elsewhere"))
    stack: Any = SimpleNamespace(settings=elsewhere, outputs=lambda *_: of_stack)
    jenkins = of_ops.of(stack, 240)
    assert jenkins is not None
    return jenkins


def test_the_verbs_go_on_while_the_directory_is_away_and_their_account_can_do_nothing_else(
    stack: Deployment,
) -> None:
    of_stack = stack.outputs("--show-secrets")
    jenkins = verbs(of_stack)
    assert jenkins.jobs() == (frozenset({"robot"}), [])
    item = jenkins.start("robot")
    number = eventually(lambda: isinstance(known := jenkins.started("robot", item), int) and known, seconds=60)
    build = f"job/robot/{number}"
    builds = Builds(of_stack["url"], **of_stack["verbs"])
    builds.quiet(on=True)
    assert builds.at_work() == [f"robot #{number}"]
    builds.quiet(on=False)
    assert eventually(lambda: jenkins.result(build), seconds=60) == "SUCCESS"
    assert b"hello" in b"".join(jenkins.log(build))
    account = Visitor(of_stack["url"], "ci-stack", of_stack["verbs"]["password"])
    pages = ("script", "manage/", "job/robot/", "job/robot/config.xml", "view/all/newJob", "asynchPeople/api/json", "")
    assert account.get("api/json") == 200
    assert {account.get(path) for path in (*pages, "job/robot/../../script", "api/json/..;/script")} <= {400, 401, 404}
    posts = (
        "scriptText",
        "script",
        "createItem?name=x",
        "job/robot/doDelete",
        "job/robot/config.xml",
        "exit",
        "restart",
    )
    assert {account.post(path) for path in posts} == {401}


def test_nobody_else_gets_in_and_the_verbs_password_is_in_no_record_argument_environment_or_file(
    stack: Deployment, engine: docker.DockerClient
) -> None:
    printed = "".join(stack.said)
    of_stack = stack.outputs("--show-secrets")
    password = of_stack["verbs"]["password"]
    nobody, wrong = Visitor(of_stack["url"]), Visitor(of_stack["url"], "ci-stack", "wrong-horse-battery")
    other = Visitor(of_stack["url"], "admin", password)
    pages = ("", "api/json", "script", "job/robot/", "computer/api/json")
    assert {nobody.get(path) for path in pages} == {403}
    assert {visitor.get(path) for visitor in (wrong, other) for path in pages} == {401}
    container = engine.containers.get(NAME)
    places = [printed, container.logs().decode(), json.dumps(container.attrs)]
    places.append(inside(NAME, "sh", "-c", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ /etc/ci/*.json 2>&1 || true"))
    places += [path.read_text() for path in stack.state_folder.rglob("*.json")]
    assert [password in place for place in places[1:]] == [False] * len(places[1:])


def test_back_with_the_stacks_realm_the_administrator_logs_in_and_the_verbs_account_does_not(
    stack: Deployment, real_jenkins: str
) -> None:
    before = stack.outputs("--show-secrets")
    configure(stack, real_jenkins)
    stack.up()
    of_stack = stack.outputs("--show-secrets")
    assert Visitor(of_stack["url"], "admin", of_stack["adminPassword"]).get("script") == 200
    assert verbs(of_stack).jobs()[0] == {"robot"}
    assert Visitor(of_stack["url"], "ci-stack", before["verbs"]["password"]).get("api/json") == 401
