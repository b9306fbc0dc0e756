"""Builds: each runs when it is new or changed, and never again."""

import base64
import gzip
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components import labels
from components.kubernetes.build import DigestError, failure_hook
from components.kubernetes.plan import plan
from tests.support import release
from tests.support.engine import Engine, is_unknown, set_config
from tests.support.kubernetes_platform import Deployed, deploy
from tests.support.kubernetes_stack import DIGEST, FakeReader, build, failed, settings

GHCR = json.dumps({"auths": {"ghcr.io": {"auth": "eDp5"}}})
IMAGE = f"registry.ci.svc:5000/website@{DIGEST}"


def job(made: Deployed, name: str = "website") -> dict[str, Any]:
    return made[f"build-{name}-job"]


def name_of(made: Deployed, name: str = "website") -> str:
    text: str = job(made, name)["metadata"]["name"]
    return text


def updated(**keys: Any) -> Deployed:
    return deploy(Engine(preview=False), **keys)


def done(**keys: Any) -> dict[str, Any]:
    """Give what the state says after an update that has built these."""
    return {name: updated(**keys).outputs[name] for name in ("images", "builds")}


def asked(made: Deployed) -> list[str]:
    """Give what was asked about the builds."""
    return [each for each in made.reader.asked if not each.startswith(("/", "claim"))]


def runs(made: Deployed, name: str = "website") -> bool:
    return not job(made, name)["spec"].get("suspend")


WEBSITE: dict[str, Any] = {"builds": [build()]}
ELSEWHERE: dict[str, Any] = {"builds": [build(destinations=["ghcr.io/team/site:1"])], "dockerConfig": GHCR}


def test_a_new_build_runs_and_its_image_is_what_its_pod_says_that_it_pushed(engine: Engine) -> None:
    made = deploy(engine, **WEBSITE)
    assert "suspend" not in job(made)["spec"]
    if engine.preview:
        assert is_unknown(made.outputs["images"]["website"])
        assert not asked(made)
    else:
        assert made.outputs["images"] == {"website": IMAGE}
        assert made.outputs["builds"] == {"website": name_of(made)}
        assert asked(made) == [f"pods ci-builds/{name_of(made)}"]


def test_a_build_that_is_known_to_be_done_is_declared_suspended_and_its_image_is_remembered(engine: Engine) -> None:
    last = done(**WEBSITE)
    made = deploy(engine, FakeReader(of_every_job=[]), last, **WEBSITE)
    assert {name: made.outputs[name] for name in last} == last
    assert not asked(made)
    # Where the Job still stands, none of this is a change; where it is gone, it comes back and builds nothing.
    assert not runs(made)
    assert job(made)["metadata"]["annotations"]["pulumi.com/skipAwait"] == "true"
    ignored = set(engine.requests["build-website-job"].ignoreChanges)
    assert {"spec.suspend", "spec.template.spec", 'metadata.annotations["pulumi.com/skipAwait"]'} <= ignored


def test_a_build_that_changed_is_run_again_and_another_one_is_not(engine: Engine) -> None:
    last = done(builds=[build(), build("other")])
    made = deploy(engine, last=last, builds=[build(), build("other", args={"VERSION": "2"})])
    assert name_of(made, "other") != last["builds"]["other"]
    assert (runs(made), runs(made, "other")) == (False, True)
    assert list(engine.requests["build-other-job"].ignoreChanges) == []


def test_a_remembered_image_follows_the_registrys_name(engine: Engine) -> None:
    made = deploy(engine, last=done(**WEBSITE), **WEBSITE, registry={"plainHttp": True, "nodePort": 30500})
    assert made.outputs["images"] == {"website": f"localhost:30500/website@{DIGEST}"}
    assert not runs(made)


@pytest.mark.parametrize(("now", "again"), [("volume-1", False), ("volume-2", True)])
def test_a_build_that_is_done_is_run_again_only_where_the_registry_that_keeps_it_has_another_volume(
    *, now: str, again: bool
) -> None:
    engine = Engine(preview=False)
    engine.volume_uid = now
    made = deploy(engine, last={**done(**WEBSITE), "registryVolume": "volume-1"}, **WEBSITE)
    assert runs(made) is again
    assert job(made)["metadata"]["annotations"]["pulumi.com/replaceUnready"] == str(again).lower()
    assert made.outputs["registryVolume"] == now
    # Where the Job still stands, it is another one on another volume.
    assert job(made)["spec"]["template"]["metadata"]["annotations"] == {labels.VOLUME: now}
    made = deploy(Engine(preview=False), last={**done(**ELSEWHERE), "registryVolume": "volume-1"}, **ELSEWHERE)
    assert not runs(made)
    assert "annotations" not in job(made)["spec"]["template"]["metadata"]


def test_a_preview_that_changes_the_registrys_volume_replaces_no_job() -> None:
    engine = Engine(preview=True)  # which does not know the uid of a claim that changes
    last = {**done(**WEBSITE), "registryVolume": engine.volume_uid}
    made = deploy(engine, last=last, **WEBSITE, registry={"plainHttp": True, "storageGib": 99})
    assert job(made)["spec"]["template"]["metadata"]["annotations"] == {labels.VOLUME: engine.volume_uid}
    assert not runs(made)


def test_a_cluster_that_does_not_say_which_volume_it_has_ends_the_run() -> None:
    with pytest.raises(pulumi.RunError, match=r"cluster can't be read: https://192\.0\.2\.1:6443"):
        deploy(Engine(preview=True), FakeReader(broken=True), {**done(**WEBSITE), "registryVolume": "x"}, **WEBSITE)


GIT = {"git": {"repository": "https://git.example.org/x.git", "credentials": "gitToken"}}
EARLIER: dict[str, Any] = {
    "builds": [
        build(),
        build("git", context=GIT, builder="buildah", args={"A": "1"}),
        build("daemon", context=GIT, builder="buildkit"),
        build("volume", context={"volume": {"claim": "sources"}}),
    ],
    "gitToken": "glpat-0123456789",
    "kubernetes": {"buildsPodSecurity": "privileged"},
}
_PODS = """
import dataclasses, json, sys
from components.kubernetes.plan import plan
from tests.support.kubernetes_stack import settings
stack = settings(**json.load(sys.stdin))
print(json.dumps([[found.job, found.pod] for found in (plan(stack, index) for index in range(len(stack.builds)))]))
"""


@pytest.fixture(scope="module")
def of_the_release(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Give each Job of the last release as the API has it, by the build's name."""
    root = tmp_path_factory.mktemp("release")
    (root / "components").mkdir()
    (root / "tests").symlink_to(Path(__file__).parents[1])
    release.released(root)
    words = [sys.executable, "-c", _PODS]
    printed = subprocess.run(words, cwd=root, input=json.dumps(EARLIER), text=True, stdout=subprocess.PIPE, check=True)
    jobs = {}
    for one, (name, pod) in zip(EARLIER["builds"], json.loads(printed.stdout), strict=True):
        container = {**pod["containers"][0], "resources": {"limits": {"cpu": "1"}}, "terminationMessagePath": "/dev/x"}
        container["env"] = [{key: value for key, value in each.items() if value} for each in container["env"]]
        jobs[one["name"]] = (name, {**pod, "containers": [container], "dnsPolicy": "ClusterFirst"})
    return jobs


def test_what_the_last_release_built_is_not_built_again_unless_it_changed(of_the_release: dict[str, Any]) -> None:
    last = {
        "images": dict.fromkeys(of_the_release, IMAGE),
        "builds": {each: name for each, (name, _) in of_the_release.items()},
    }
    upgraded = deploy(Engine(preview=False), last=last, jobs=of_the_release, **EARLIER)
    assert {each: name_of(upgraded, each) for each in of_the_release} == last["builds"]
    assert not any(runs(upgraded, each) for each in of_the_release)
    # From then on the state says what decided them, and their pods do not matter any more.
    noted, mirror = upgraded.noted(), {"plainHttp": True, "mirror": {}}
    later = deploy(Engine(preview=False), last=last, jobs=noted, **{**EARLIER, "registry": mirror})
    assert {each: name_of(later, each) for each in of_the_release} == last["builds"]
    for change in ({"args": {"A": "2"}}, {"trigger": "again"}):
        keys = {**EARLIER, "builds": [{**each, **change} for each in EARLIER["builds"]]}
        for jobs in (of_the_release, noted):
            assert all(runs(deploy(Engine(preview=False), last=last, jobs=jobs, **keys), each) for each in noted)


@pytest.mark.parametrize(("stands", "again"), [({}, False), ({"website": "its own"}, False), ({"website": "x"}, True)])
def test_a_build_that_another_has_followed_in_a_failed_update_runs_again_since_the_tags_are_that_ones(
    stands: dict[str, str], *, again: bool
) -> None:
    last = done(**WEBSITE)
    jobs = {build: last["builds"][build] if job == "its own" else job for build, job in stands.items()}
    assert runs(deploy(Engine(preview=False), last=last, jobs=jobs, **WEBSITE)) is again


@pytest.mark.parametrize(
    "last",
    [{}, {"images": {}, "builds": {"website": "x"}}, {"images": None, "builds": None}, {"images": {"website": IMAGE}}],
)
def test_outputs_that_tell_nothing_of_a_build_are_no_reason_not_to_run_it(engine: Engine, last: dict[str, Any]) -> None:
    assert runs(deploy(engine, last=last, **WEBSITE))


@pytest.mark.parametrize(
    ("reader", "said"),
    [
        (FakeReader(of_every_job=[]), r"ci:builds\[0\]\.trigger"),
        (FakeReader(broken="pods"), r"its digest can't be read: https://192\.0\.2\.1:6443 does not answer"),
    ],
)
def test_a_digest_that_is_gone_or_cannot_be_asked_for_is_told_without_a_traceback(
    reader: FakeReader, said: str
) -> None:
    with pytest.raises(DigestError, match=said):
        deploy(Engine(preview=False), reader, **WEBSITE)
    assert issubclass(DigestError, pulumi.RunError)


def test_the_files_of_a_build_travel_in_a_config_map_that_their_digest_names(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY a.txt /\n")
    (tmp_path / "a.txt").write_text("hello")
    folder: dict[str, Any] = {"builds": [build(context={"directory": str(tmp_path)})]}
    made = deploy(engine, **folder)
    [(resource, files)] = made.of("ConfigMap").items()
    name = files["metadata"]["name"]
    assert name.startswith("website-context-")
    assert files["immutable"] is True
    assert list(engine.requests[resource].ignoreChanges) == ["binaryData"]
    content = gzip.decompress(base64.b64decode(files["binaryData"]["context.tar.gz"]))
    with tarfile.open(fileobj=io.BytesIO(content)) as packed:
        assert packed.getnames() == ["Dockerfile", "a.txt"]
    [volume] = [volume for volume in job(made)["spec"]["template"]["spec"]["volumes"] if volume["name"] == "context"]
    assert volume["configMap"]["name"] == name
    # Other files are another resource, or their content would be ignored.
    (tmp_path / "a.txt").write_text("hello again")
    assert set(updated(**folder).of("ConfigMap")).isdisjoint(made.of("ConfigMap"))


def test_a_stack_without_builds_registers_no_hook(engine: Engine) -> None:
    made = deploy(engine)
    assert engine.hooks == []
    assert any("ci:builds" in step for step in made.outputs["next"])


def said(reader: FakeReader, monkeypatch: pytest.MonkeyPatch, **args: Any) -> tuple[object, list[str]]:
    """Let the hook of one build run; give its answer, and what it logged."""
    set_config({})
    planned = plan(settings(builds=[build()]), 0)
    hooks: list[pulumi.ErrorHook] = []
    Engine(preview=False).run(lambda: hooks.append(failure_hook("failed", [planned], reader)))
    logged: list[str] = []
    monkeypatch.setattr(pulumi.log, "error", logged.append)
    inputs = {"metadata": {"name": args.pop("job", planned.job), "namespace": "ci-builds"}}
    about = {"urn": "urn", "id": "", "name": "build-website-job", "type": "Job", "failed_operation": "create", **args}
    answer = hooks[0](pulumi.ErrorHookArgs(**about, new_inputs=inputs))
    return answer, logged


def test_a_build_that_is_late_is_told_from_one_whose_pod_was_deleted_though_its_event_is_not_written_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_config({})
    job = plan(settings(builds=[build()]), 0).job
    late = {"type": "Failed", "message": "Job was active longer than specified deadline"}
    pods = [{**failed(exitCode=143), "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}]
    path = f"/apis/batch/v1/namespaces/ci-builds/jobs/{job}"
    for conditions, text in (([late], "raise ci:builds[0].deadlineSeconds"), ([], "somebody deleted its pod")):
        reader = FakeReader(of_every_job=pods, objects={path: {"status": {"conditions": conditions}}})
        [logged] = said(reader, monkeypatch)[1]
        assert text in logged


def test_a_failed_build_says_why_in_the_words_of_the_settings_and_is_not_tried_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = FakeReader(of_every_job=[failed(reason="OOMKilled", exitCode=137)])
    answer, logged = said(reader, monkeypatch)
    assert answer is False
    [text] = logged
    assert "raise ci:builds[0].resources.memoryMib, for example to 2048" in text


@pytest.mark.parametrize("change", [{"failed_operation": "delete"}, {"job": "somebody-elses"}])
def test_what_is_no_failed_build_is_the_providers(monkeypatch: pytest.MonkeyPatch, change: dict[str, str]) -> None:
    assert said(FakeReader(), monkeypatch, **change) == (False, [])


def test_a_failed_build_of_a_cluster_that_gives_no_answer_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    answer, [text] = said(FakeReader(broken=True), monkeypatch)
    assert answer is False
    assert "https://192.0.2.1:6443" in text
