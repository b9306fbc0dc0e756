"""What a Job is called: the same while nothing changes that decides its result, and never the same after."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.kubernetes import context
from components.kubernetes.plan import Plan
from components.kubernetes.plan import plan as plan_of
from tests.support.kubernetes_stack import build, settings

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def plan(*, name: str = "website", stack: dict[str, Any] | None = None, index: int = 0, **keys: Any) -> Plan:
    """Give the plan of one build among as many others as stand before it."""
    others = [build(f"other-{number}") for number in range(index)]
    found = settings(builds=[*others, build(name, **keys)], gitToken="glpat-0123456789", **(stack or {}))
    context.forget()
    return plan_of(found, index)


CHANGES = yaml.safe_load(Path(__file__).with_name("build_changes.yaml").read_text())


def each(rows: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("before", "after"), [pytest.param(*row[1:], id=row[0]) for row in CHANGES[rows]])


@each("decides")
def test_what_decides_the_result_changes_the_job(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert plan(**before).job != plan(**{**before, **after}).job


@each("decides-not")
def test_what_decides_nothing_does_not_build_again(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert plan(**before).job == plan(**{**before, **after}).job


def test_two_builds_of_one_content_are_two_jobs() -> None:
    assert plan(name="a").job != plan(name="b").job


def test_a_changed_file_of_a_folder_changes_the_job_and_an_ignored_one_does_not(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch")
    (tmp_path / ".dockerignore").write_text("*.log")
    folder: dict[str, Any] = {"context": {"directory": str(tmp_path)}}
    before = plan(**folder)
    (tmp_path / "x.log").write_text("1")
    assert plan(**folder) == before
    (tmp_path / "x.txt").write_text("1")
    after = plan(**folder)
    assert after.job != before.job
    assert after.config_map != before.config_map
    # The context's own digest names its ConfigMap, so another argument leaves it alone.
    assert plan(**folder, args={"A": "1"}).config_map == after.config_map


def test_authorities_say_whom_a_build_trusts_and_not_what_it_builds(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(CERTIFICATE)
    assert plan(stack={"kubernetes": {"trustedCaFile": str(tmp_path / "ca.pem")}}).job == plan().job


@pytest.mark.parametrize("name", ["a", "n" * 37])
def test_names_fit_what_kubernetes_takes(name: str) -> None:
    made = plan(name=name, schedule="@daily")
    assert made.job.startswith(f"{name}-")
    # A Job's pods carry its name in a label of 63 characters at most; a CronJob's name has 11 more behind it.
    assert len(made.job) <= 63
    assert len(made.settings.name) <= 52
    assert made.job.rpartition("-")[2].isalnum()


def pushed(*destinations: str) -> tuple[Plan, list[str]]:
    made = plan(destinations=[*destinations], stack={"dockerConfig": '{"auths": {"ghcr.io": {"auth": "eDp5"}}}'})
    words = made.pod["containers"][0]["args"]
    return made, [word.removeprefix("--destination=") for word in words if word.startswith("--destination=")]


def test_every_single_build_keeps_its_image_under_a_tag_of_its_own_in_this_stacks_registry() -> None:
    made, everywhere = pushed("ghcr.io/team/a:1", "team/a:1", "b:1")
    assert everywhere == [
        "ghcr.io/team/a:1",
        "registry.ci.svc:5000/team/a:1",
        "registry.ci.svc:5000/b:1",
        f"registry.ci.svc:5000/team/a:build-{made.job.rpartition('-')[2]}",
    ]
    assert made.repository == "ghcr.io/team/a"
    # One that is pushed elsewhere alone gets no tag here.
    assert pushed("ghcr.io/a:1")[1] == ["ghcr.io/a:1"]


@pytest.mark.parametrize("builder", ["kaniko", "buildkit", "buildah"])
def test_the_kubelet_changes_no_value_with_a_dollar(builder: str) -> None:
    level = {"kubernetes": {"buildsPodSecurity": "privileged"}}
    made = plan(builder=builder, args={"A": "$$ $(TMPDIR)"}, labels={"a": "$"}, stack=level)
    words = [word.partition("=")[2] for word in made.pod["containers"][0]["args"]]
    assert {"$$$$ $$(TMPDIR)", "$$"} <= {word.rpartition("=")[2] for word in words}
