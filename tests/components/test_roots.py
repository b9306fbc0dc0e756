"""The root components: two of a kind in one program, what the last update left of each, and their former names."""

from collections.abc import Iterator
from typing import Any

import pulumi
import pytest

from components import docker, former_names, kubernetes, password, state
from components.docker import deploy
from components.settings import DockerSettings, Problem, Settings, SettingsError
from ops import state_files
from tests.support import kubernetes_platform, kubernetes_stack
from tests.support.engine import KEPT, PROJECT, STACK, STATE_CALL, Engine, set_config, unwrap
from tests.support.settings import settings

URN = f"urn:pulumi:{STACK}::{PROJECT}::"


def docker_ci(name: str, **opts: Any) -> docker.DockerCi:
    proxy = {"containerName": f"{name}-proxy"}
    keys = {"agents": 1, "containerName": name, "homeVolume": f"{name}-home", "image": "jenkins/jenkins:1"}
    stack = settings(docker={"access": "proxy", "acceptRootOnHost": True, "proxy": proxy}, jenkins=keys)
    return docker.DockerCi(name, stack, **opts)


def kubernetes_ci(name: str, namespace: str = "", **opts: Any) -> kubernetes.KubernetesCi:
    keys: dict[str, Any] = {"builds": [kubernetes_stack.build()], "kubernetes": {"namespace": namespace or name}}
    return kubernetes.KubernetesCi(
        name, kubernetes_stack.settings(**keys), reader=kubernetes_stack.FakeReader(), **opts
    )


@pytest.mark.parametrize(("ci", "provider"), [(docker_ci, "host"), (kubernetes_ci, "cluster")])
def test_two_of_a_kind_in_one_program_have_no_name_provider_or_parent_in_common(
    engine: Engine, ci: Any, provider: str
) -> None:
    engine.answers[STATE_CALL] = kubernetes_platform.state()
    engine.run(lambda: (ci("first"), ci("second")))
    names = {root: {name for name in engine.requests if name.startswith(f"{root}-")} for root in ("first", "second")}
    assert names["first"] | names["second"] | {"first", "second"} == engine.requests.keys()
    assert {name.removeprefix("first-") for name in names["first"]} == {
        name.removeprefix("second-") for name in names["second"]
    }
    for root, inner in names.items():
        for request in (engine.requests[name] for name in inner):
            assert request.parent.rpartition("::")[2] in {root, *inner}
            assert not request.provider or f"::{root}-{provider}::" in request.provider
            assert {urn.rpartition("::")[2] for urn in (*request.dependencies, *request.replace_with)} <= inner
        assert engine.finished[root]["platform"] in {"docker", "kubernetes"}


def test_two_of_a_program_cannot_have_one_home_or_one_namespace() -> None:
    set_config({})
    engine = Engine(preview=False)
    engine.answers[STATE_CALL] = kubernetes_platform.state()
    keys: dict[str, Any] = {"docker": {"acceptRootOnHost": True}}
    refused: list[SettingsError] = []

    def program() -> None:
        docker.DockerCi("first", settings(**keys))
        kubernetes_ci("third", "ci")
        for second in (lambda: docker.DockerCi("second", settings(**keys)), lambda: kubernetes_ci("fourth", "ci")):
            with pytest.raises(SettingsError) as caught:
                second()
            refused.append(caught.value)

    engine.run(program)
    assert [[(problem.key, problem.code) for problem in error.problems] for error in refused] == [
        [("ci:jenkins.homeVolume", "duplicate"), ("ci:jenkins.containerName", "duplicate")],
        [("ci:kubernetes.namespace", "duplicate")],
    ]
    assert not [name for name in engine.requests if name.startswith(("second", "fourth"))]


def from_a_program(**keys: Any) -> docker.DockerCi:
    return docker.DockerCi("ci", Settings(platform="docker", **keys))


CONFIRMED = DockerSettings(accept_root_on_host=True, socket_group=998)


@pytest.mark.parametrize(
    ("keys", "on_host", "code"),
    [
        ({}, [], "not_confirmed"),
        ({"docker": CONFIRMED}, [Problem("ci:docker.host", "unreachable", "", "")], "unreachable"),
    ],
)
def test_what_a_program_gives_is_checked_as_a_stacks_file_is_before_anything_is_registered(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any], on_host: list[Problem], code: str
) -> None:
    monkeypatch.setattr(deploy, "preflight", lambda *_: on_host)
    with pytest.raises(SettingsError) as caught:
        engine.run(lambda: from_a_program(**keys))
    assert [problem.code for problem in caught.value.problems] == [code]
    assert not engine.requests


def test_a_secret_may_be_another_resources_output_which_is_checked_when_it_is_known(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy, "preflight", lambda *_: [])
    engine.run(lambda: from_a_program(docker=CONFIRMED, admin_password=pulumi.Stash("other", input="").output))
    assert "admin-password" not in engine.requests
    uploads = engine.inputs["jenkins-controller"]["uploads"]
    if not engine.preview:
        files = {each["file"]: each["content"] for each in unwrap(uploads)}
        assert password.jbcrypt(KEPT, realm=f"{PROJECT}/{STACK}/admin") in unwrap(files["/etc/ci/casc/jenkins.yaml"])
    second = Engine(preview=False)
    with pytest.raises(pulumi.RunError, match="is shorter than 12 characters") as caught:
        second.run(lambda: from_a_program(docker=CONFIRMED, admin_password=pulumi.Output.from_input("sesame")))
    assert "sesame" not in str(caught.value)


def left(*resources: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """Give the engine's answer of a state from each resource's types and name, and its outputs."""
    types = ((where, where.partition("::")[0].rpartition("$")[2], outputs) for where, outputs in resources)
    return {"outputs": {f"{URN}{where}": {"type": kind, "outputs": outputs} for where, kind, outputs in types}}


EXPORTS = {"platform": "docker", "images": {}}
PROGRAMS = ("pulumi:pulumi:Stack::ci-test", EXPORTS)
THEIRS: tuple[str, dict[str, Any]] = ("docker:index/container:Container::a-theirs", {})
ROOT_A, ROOT_AB = (f"{state.DOCKER_CI}::{name}" for name in ("a", "a-b"))
IN_A, IN_AB = (f"{state.DOCKER_CI}$docker:index/container:Container::{name}" for name in ("a-c", "a-b-c"))
FORMER = (f"ci:docker:Jenkins$docker:index/container:Container::{name}" for name in ("jenkins-controller",))


@pytest.mark.parametrize(
    ("answer", "outputs", "resources"),
    [
        # Somebody else's program: neither its exports nor its resources are the CI's.
        (left(PROGRAMS, THEIRS), {}, []),
        (left(PROGRAMS, THEIRS, (ROOT_A, {"url": "a"}), (IN_A, {})), {"url": "a"}, [ROOT_A, IN_A]),
        (left((ROOT_A, {"url": "a"}), (ROOT_AB, {"url": "b"}), (IN_A, {}), (IN_AB, {})), {"url": "a"}, [ROOT_A, IN_A]),
        # Of 0.1.0; then with an update that failed on its way from there, and as a restore leaves it.
        (left(PROGRAMS, (former := next(FORMER), {})), EXPORTS, [PROGRAMS[0], former]),
        (left(PROGRAMS, (ROOT_A, {}), (IN_A, {}), (former, {})), EXPORTS, [PROGRAMS[0], ROOT_A, IN_A, former]),
        (left(PROGRAMS, (ROOT_A, {}), (IN_A, {})), EXPORTS, [ROOT_A, IN_A]),
    ],
)
def test_the_last_update_left_of_a_ci_what_is_in_its_root_and_nothing_of_the_program_around_it(
    answer: dict[str, Any], outputs: dict[str, Any], resources: list[str]
) -> None:
    Engine(preview=False).answers[STATE_CALL] = answer
    last = state.of_root("a")
    assert (last.outputs, sorted(last.resources)) == (outputs, sorted(f"{URN}{each}" for each in resources))


@pytest.mark.parametrize("root", [[], [(f"{state.KUBERNETES_CI}::ci", {})]], ids=["without a root", "with a root"])
def test_what_a_restore_keeps_of_an_archive_is_what_the_last_update_left(root: list[tuple[str, Any]]) -> None:
    exports = {"platform": "kubernetes", "images": {"app": "r/app@sha256:1"}, "builds": {"app": "app-1"}, "next": []}
    kept = {key: exports[key] for key in state_files.PLAIN if key in exports}
    engine = Engine(preview=False)
    engine.answers[STATE_CALL] = left((PROGRAMS[0], kept), ("pulumi:index:Stash::registry-password", {}), *root)
    assert state.of_root("ci").outputs == kept
    assert {"images", "builds"} <= kept.keys()


@pytest.mark.parametrize("ci", [docker_ci, kubernetes_ci])
def test_a_stack_from_before_the_root_component_goes_on_with_each_resource(ci: Any) -> None:
    engine = Engine(preview=False)
    engine.answers[STATE_CALL] = kubernetes_platform.state()
    engine.run(lambda: ci("ci", opts=former_names.of("ci")))
    by_urn = {engine.urns[name]: request for name, request in engine.requests.items()}

    def former(urn: str) -> Iterator[str]:
        """Yield the types and names that the engine looks for, by its own rules for aliases."""
        request = by_urn[urn]
        for alias in request.aliases:
            spec = alias.spec
            if spec.noParent:
                yield f"{request.type}::{spec.name}"
            elif spec.parentUrn:
                yield f"{spec.parentUrn.split('::')[2]}${request.type}::{spec.name}"
            else:
                yield from (f"{of.split('::')[0]}${request.type}::{spec.name}" for of in former(request.parent))

    root = next(urn for urn in by_urn if urn.endswith("::ci"))
    for urn in by_urn.keys() - {root}:
        types, name = urn.split("::")[2:4]
        before = f"{types.removeprefix(f'{by_urn[root].type}$')}::{name.removeprefix('ci-')}"
        assert before in set(former(urn)), f"{urn} was {before}"
