"""Builds: each runs when it is new or changed, and never again."""

import base64
import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components import labels
from components.kubernetes.build import DigestError, failure_hook
from components.kubernetes.plan import plan
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


def test_a_new_build_runs_and_its_image_is_what_its_pod_says_that_it_pushed(engine: Engine) -> None:
    made = deploy(engine, builds=[build()])
    assert "suspend" not in job(made)["spec"]
    if engine.preview:
        assert is_unknown(made.outputs["images"]["website"])
        assert made.reader.asked == []
    else:
        assert made.outputs["images"] == {"website": IMAGE}
        assert made.outputs["builds"] == {"website": name_of(made)}
        assert made.reader.asked == [f"pods ci-builds/{name_of(made)}"]


def test_an_image_that_is_pushed_elsewhere_first_is_named_as_there(engine: Engine) -> None:
    made = deploy(engine, builds=[build(destinations=["ghcr.io/team/site:1", "site:1"])], dockerConfig=GHCR)
    if not engine.preview:
        assert made.outputs["images"] == {"website": f"ghcr.io/team/site@{DIGEST}"}


def test_a_build_that_is_known_to_be_done_is_declared_suspended_and_its_image_is_remembered(engine: Engine) -> None:
    name = name_of(updated(builds=[build()]))
    last = {"images": {"website": IMAGE}, "builds": {"website": name}}
    made = deploy(engine, FakeReader(of_every_job=[]), last, builds=[build()])
    assert name_of(made) == name
    assert made.outputs["images"] == {"website": IMAGE}
    assert made.outputs["builds"] == {"website": name}
    assert made.reader.asked == []
    # Where the Job still stands, none of this is a change; where it is gone, it comes back and builds nothing.
    assert job(made)["spec"]["suspend"] is True
    assert job(made)["metadata"]["annotations"]["pulumi.com/skipAwait"] == "true"
    ignored = set(engine.requests["build-website-job"].ignoreChanges)
    assert {"spec.suspend", 'metadata.annotations["pulumi.com/skipAwait"]'} <= ignored


def test_a_build_that_changed_is_not_taken_for_the_one_that_is_done(engine: Engine) -> None:
    name = name_of(updated(builds=[build()]))
    last = {"images": {"website": IMAGE}, "builds": {"website": name}}
    made = deploy(engine, last=last, builds=[build(args={"VERSION": "2"})])
    assert name_of(made) != name
    assert "suspend" not in job(made)["spec"]
    assert list(engine.requests["build-website-job"].ignoreChanges) == []


def test_another_build_that_changes_leaves_this_one_done(engine: Engine) -> None:
    before = updated(builds=[build(), build("other")])
    last = {name: before.outputs[name] for name in ("images", "builds")}
    made = deploy(engine, last=last, builds=[build(), build("other", trigger="again")])
    assert job(made)["spec"]["suspend"] is True
    assert "suspend" not in job(made, "other")["spec"]


def test_a_remembered_image_follows_the_registrys_name(engine: Engine) -> None:
    before = updated(builds=[build()])
    last = {name: before.outputs[name] for name in ("images", "builds")}
    made = deploy(engine, last=last, builds=[build()], registry={"plainHttp": True, "nodePort": 30500})
    assert made.outputs["images"] == {"website": f"localhost:30500/website@{DIGEST}"}
    assert job(made)["spec"]["suspend"] is True


@pytest.mark.parametrize(("now", "again"), [("volume-1", False), ("volume-2", True)])
def test_a_build_that_is_done_is_run_again_only_where_the_registry_has_another_volume(*, now: str, again: bool) -> None:
    engine = Engine(preview=False)
    name = name_of(updated(builds=[build()]))
    engine.volume_uid = now
    last = {"images": {"website": IMAGE}, "builds": {"website": name}, "registryVolume": "volume-1"}
    made = deploy(engine, last=last, builds=[build()])
    assert job(made)["spec"]["suspend"] is not again
    assert job(made)["metadata"]["annotations"]["pulumi.com/replaceUnready"] == str(again).lower()
    assert made.outputs["registryVolume"] == now
    # Where the Job still stands, it is another one on another volume.
    assert job(made)["spec"]["template"]["metadata"]["annotations"] == {labels.VOLUME: now}


def test_a_build_that_the_registry_does_not_keep_stays_done_whatever_becomes_of_its_volume() -> None:
    build_elsewhere: dict[str, Any] = {"builds": [build(destinations=["ghcr.io/team/site:1"])], "dockerConfig": GHCR}
    last = {**updated(**build_elsewhere).outputs, "registryVolume": "volume-1"}
    engine = Engine(preview=False)
    engine.volume_uid = "volume-2"
    made = deploy(engine, last=last, **build_elsewhere)
    assert job(made)["spec"]["suspend"] is True
    assert "annotations" not in job(made)["spec"]["template"]["metadata"]


@pytest.mark.parametrize(("stands", "again"), [({}, False), ({"website": "its own"}, False), ({"website": "x"}, True)])
def test_a_build_that_another_has_followed_in_a_failed_update_runs_again_since_the_tags_are_that_ones(
    stands: dict[str, str], *, again: bool
) -> None:
    name = name_of(updated(builds=[build()]))
    last = {"images": {"website": IMAGE}, "builds": {"website": name}}
    jobs = {build: name if job == "its own" else job for build, job in stands.items()}
    made = deploy(Engine(preview=False), last=last, jobs=jobs, builds=[build()])
    assert ("suspend" in job(made)["spec"]) is not again


@pytest.mark.parametrize(
    "last",
    [{}, {"images": {}, "builds": {"website": "x"}}, {"images": None, "builds": None}, {"images": {"website": IMAGE}}],
)
def test_outputs_that_tell_nothing_of_a_build_are_no_reason_not_to_run_it(engine: Engine, last: dict[str, Any]) -> None:
    assert "suspend" not in job(deploy(engine, last=last, builds=[build()]))["spec"]


def test_a_pod_that_is_gone_with_its_digest_is_told_with_what_builds_once_more() -> None:
    with pytest.raises(DigestError, match=r"ci:builds\[0\]\.trigger"):
        deploy(Engine(preview=False), FakeReader(of_every_job=[]), builds=[build()])


def test_a_cluster_that_gives_no_answer_is_told_without_a_traceback() -> None:
    with pytest.raises(DigestError, match=r"its digest can't be read: https://192\.0\.2\.1:6443 does not answer"):
        deploy(Engine(preview=False), FakeReader(broken=True), builds=[build()])
    assert issubclass(DigestError, pulumi.RunError)


def test_the_files_of_a_build_travel_in_a_config_map_that_their_digest_names(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY a.txt /\n")
    (tmp_path / "a.txt").write_text("hello")
    made = deploy(engine, builds=[build(context={"directory": str(tmp_path)})])
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


def test_a_changed_file_gives_the_config_map_another_resource_so_that_its_content_is_not_ignored(
    tmp_path: Path,
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    first = updated(builds=[build(context={"directory": str(tmp_path)})])
    (tmp_path / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    second = updated(builds=[build(context={"directory": str(tmp_path)})])
    assert set(first.of("ConfigMap")).isdisjoint(second.of("ConfigMap"))
    assert name_of(first) != name_of(second)


def test_a_stack_without_builds_registers_no_hook(engine: Engine) -> None:
    made = deploy(engine)
    assert engine.hooks == []
    assert any("ci:builds" in step for step in made.outputs["next"])


def said(reader: FakeReader, monkeypatch: pytest.MonkeyPatch, **args: Any) -> tuple[object, list[str]]:
    """Let the hook of one build run; give its answer, and what it logged."""
    set_config({})
    planned = plan(settings(builds=[build()]), 0)
    hooks: list[pulumi.ErrorHook] = []
    Engine(preview=False).run(lambda: hooks.append(failure_hook([planned], reader)))
    logged: list[str] = []
    monkeypatch.setattr(pulumi.log, "error", logged.append)
    inputs = {"metadata": {"name": args.pop("job", planned.job), "namespace": "ci-builds"}}
    answer = hooks[0](
        pulumi.ErrorHookArgs(
            urn="urn",
            id="",
            name="build-website-job",
            type="Job",
            **{"failed_operation": "create", **args},
            new_inputs=inputs,
        )
    )
    return answer, logged


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
