"""What is refused of a build because of the builder that it names."""

from typing import Any

import pytest

from components import labels
from components.settings.pod_security import NEEDS, Builder, Level
from tests.support.kubernetes_stack import FakeReader, build, problems, settings
from tests.unit.test_cluster_preflight import look, one

OURS = labels.of("ci", "test")
ENFORCED = "pod-security.kubernetes.io/enforce"
ADOPTED = {"adoptNamespaces": True}


def said(*, level: str | None = None, **keys: Any) -> list[str]:
    cluster = {} if level is None else {"buildsPodSecurity": level}
    found = problems(builds=[build("other"), build(**keys)], kubernetes=cluster, storageCredentials="x")
    return [str(problem) for problem in found]


def held(level: str, **more: str) -> FakeReader:
    return FakeReader(found={"ci-builds": {ENFORCED: level, **more}})


def test_the_namespace_is_held_to_baseline_unless_another_level_is_written() -> None:
    assert settings().kubernetes.builds_pod_security == "baseline"
    assert said(builder="kaniko") == []
    assert said(builder="buildah") == []


def test_buildkit_is_refused_where_pods_are_held_to_baseline_with_the_checks_that_would_refuse_it() -> None:
    [text] = said(builder="buildkit")
    assert text.startswith('ci:builds[1].builder = "buildkit"')
    assert "the checks appArmorProfile and seccompProfile" in text
    assert "buildsPodSecurity: privileged, or builder: kaniko or buildah" in text
    assert said(builder="buildkit", level="privileged") == []


@pytest.mark.parametrize("builder", list(NEEDS))
def test_no_builder_is_let_into_a_namespace_that_is_held_to_restricted(builder: Builder) -> None:
    of_others, own = said(builder=builder, level="restricted")
    assert of_others.startswith('ci:builds[0].builder = "kaniko" needs Pod Security baseline')
    *most, last = NEEDS[builder].refused_by["restricted"]
    assert f"the checks {', '.join(most)} and {last} would refuse it" in own
    assert own.endswith(f"; write ci:kubernetes.buildsPodSecurity: {NEEDS[builder].level}")


@pytest.mark.parametrize("level", ["restricted", "baseline", "privileged"])
def test_every_builder_is_let_into_just_the_levels_that_do_not_refuse_it(level: Level) -> None:
    for builder, needs in NEEDS.items():
        found = problems(builds=[build(builder=builder)], kubernetes={"buildsPodSecurity": level})
        assert bool(found) is (level in needs.refused_by), builder


def test_a_level_that_is_none_is_refused_with_those_that_there_are() -> None:
    [text] = said(level="none")
    assert text.startswith('ci:kubernetes.buildsPodSecurity = "none"')
    assert "give one of restricted, baseline, privileged" in text


def test_how_old_a_layer_may_be_is_refused_where_it_is_not_asked() -> None:
    [text] = said(builder="buildkit", level="privileged", cache={"hours": 336})
    assert text.startswith("ci:builds[1].cache.hours has no effect")
    assert said(builder="buildah", cache={"hours": 24}) == []
    assert said(builder="buildkit", level="privileged", cache={"enabled": False}) == []


@pytest.mark.parametrize("builder", ["buildkit", "buildah"])
@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_object_storage_is_refused_for_those_that_do_not_read_it(builder: str, scheme: str) -> None:
    [text] = said(builder=builder, level="privileged", context={"archive": f"{scheme}://bucket/x.tar.gz"})
    assert text.startswith("ci:builds[1].context.archive")
    assert text.endswith("or write builder: kaniko")
    assert said(builder=builder, level="privileged", context={"archive": "https://example.org/x.tar.gz"}) == []


@pytest.mark.parametrize("image", ["moby/buildkit:v0.32.2", f"docker.io/moby/buildkit:v0.32.2@sha256:{'0' * 64}"])
def test_buildkit_as_root_is_refused_with_the_image_to_take(image: str) -> None:
    [text] = [str(problem) for problem in problems(kubernetes={"buildkitImage": image})]
    assert text.startswith("ci:kubernetes.buildkitImage")
    assert text.endswith("for example moby/buildkit:v0.32.2-rootless")


def test_a_rootless_buildkit_and_one_of_your_own_are_taken() -> None:
    for image in ("moby/buildkit:v0.33.0-rootless", "registry.example.org/our-buildkit:1"):
        assert problems(kubernetes={"buildkitImage": image}) == []


def test_a_namespace_that_is_taken_over_is_never_loosened() -> None:
    text = one("ci:kubernetes.buildsPodSecurity", "conflict", ENFORCED, reader=held("restricted"), kubernetes=ADOPTED)
    assert "give restricted" in text
    assert look(held("baseline"), kubernetes=ADOPTED) == []
    assert look(held("privileged"), kubernetes=ADOPTED) == []
    assert look(FakeReader(found={"ci-builds": {}}), kubernetes=ADOPTED) == []


def test_a_namespace_of_ones_own_takes_whatever_level_the_stack_writes() -> None:
    assert look(held("restricted", **OURS)) == []


def test_buildkit_wants_a_cluster_whose_pods_can_say_that_app_armor_does_not_confine_them() -> None:
    keys: dict[str, Any] = {
        "builds": [build(), build("b", builder="buildkit")],
        "kubernetes": {"buildsPodSecurity": "privileged"},
    }
    one("ci:builds[1].builder", "too_old", "1.30 or newer", reader=FakeReader(at=(1, 29)), **keys)
    assert look(FakeReader(at=(1, 30)), **keys) == []
