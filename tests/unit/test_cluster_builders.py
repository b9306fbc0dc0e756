"""What every builder makes of a build: a pod, and nothing else."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from components.kubernetes.builders import BUILDERS, BuildSpec, PodSpec
from components.settings.pod_security import NEEDS, looser
from tests.support.kubernetes_stack import PEM_KEY, build, settings

HTTPS = {"repository": "https://git.example.org/team/website.git"}
SSH = {
    "repository": "ssh://git@git.example.org/team/website.git",
    "credentials": "gitSshKey",
    "knownHosts": "git.example.org ssh-ed25519 AAAA\nother ssh-ed25519 BBBB",
}
CONTEXTS: Mapping[str, dict[str, Any]] = {
    "inline": {"inline": {"Dockerfile": ""}},
    "git": {"git": HTTPS},
    "git with a token": {"git": {**HTTPS, "credentials": "gitToken", "user": "me"}},
    "git over ssh": {"git": SSH},
    "https": {"archive": "https://files.example.org/x.tar.gz"},
    "volume": {"volume": {"claim": "sources"}},
}


def build_spec(builder: str, **keys: Any) -> BuildSpec:
    """Give a build of these settings, with its addresses resolved."""
    level = {"kubernetes": {"buildsPodSecurity": "privileged"}}
    stack = settings(builds=[build(builder=builder, **keys)], **level, gitToken="glpat-0123456789", gitSshKey=PEM_KEY)
    return BuildSpec(
        build=stack.builds[0],
        image=f"{builder}:1",
        destinations=["r.ci.svc:5000/website:1"],
        cache_repository="r.ci.svc:5000/cache/website",
        mirrors={},
        git_image="git:1",
        config_map="website-0123",
        object_storage={},
    )


def pod(job: BuildSpec) -> PodSpec:
    """Give the pod that the build's own builder makes."""
    return BUILDERS[job.build.builder](job)


each_builder = pytest.mark.parametrize("builder", list(BUILDERS))


def containers(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*spec["containers"], *spec.get("initContainers", ())]


def test_every_builder_that_a_build_may_name_is_there_and_says_what_it_needs() -> None:
    assert set(BUILDERS) == set(NEEDS)
    assert {builder: needs.level for builder, needs in NEEDS.items()} == {
        "kaniko": "baseline",
        "buildkit": "privileged",
        "buildah": "baseline",
    }


def test_a_level_is_looser_than_those_before_it_alone() -> None:
    assert looser("privileged", "baseline")
    assert looser("baseline", "restricted")
    assert not looser("baseline", "baseline")
    assert not looser("restricted", "privileged")
    assert not looser("privileged", "none that is known")


@each_builder
@pytest.mark.parametrize("context", CONTEXTS)
def test_every_mount_has_its_volume_and_every_volume_a_mount(builder: str, context: str) -> None:
    spec = pod(replace(build_spec(builder, context=CONTEXTS[context]), trusted_ca="0123"))
    mounted = {mount["name"] for of in containers(spec) for mount in of["volumeMounts"]}
    assert mounted == {volume["name"] for volume in spec["volumes"]}


@each_builder
@pytest.mark.parametrize("context", CONTEXTS)
def test_secret_files_are_read_only_and_not_for_everybody(builder: str, context: str) -> None:
    spec = pod(build_spec(builder, context=CONTEXTS[context]))
    secret = {volume["name"] for volume in spec["volumes"] if "secret" in volume}
    for volume in spec["volumes"]:
        if "secret" in volume:
            assert volume["secret"]["defaultMode"] & 0o007 == 0
    for of in containers(spec):
        assert all(mount.get("readOnly") for mount in of["volumeMounts"] if mount["name"] in secret)


@each_builder
def test_the_builder_never_sees_the_git_token_and_git_never_the_registrys_login(builder: str) -> None:
    spec = pod(build_spec(builder, context=CONTEXTS["git with a token"]))
    assert "git" not in {mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
    assert "logins" not in {mount["name"] for mount in spec["initContainers"][0]["volumeMounts"]}


@each_builder
def test_a_company_s_authorities_are_trusted_beside_the_public_ones_by_builder_and_git(builder: str) -> None:
    spec = pod(replace(build_spec(builder, context=CONTEXTS["git"]), trusted_ca="0123"))
    [mount] = [mount for mount in spec["containers"][0]["volumeMounts"] if mount["name"] == "trust"]
    [folders] = [entry["value"].split(":") for entry in spec["containers"][0]["env"] if entry["name"] == "SSL_CERT_DIR"]
    place = mount["mountPath"].rpartition("/")[0] if "subPath" in mount else mount["mountPath"]
    assert place in folders
    # Beside the others, not instead of them: in their folder as one more file, or in a folder of its own.
    assert mount.get("subPath") == "ca.crt" or len(folders) == 2
    assert "trust" in {mount["name"] for mount in spec["initContainers"][0]["volumeMounts"]}
    assert not any(volume["name"] == "trust" for volume in pod(build_spec(builder))["volumes"])


@each_builder
@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        (None, {"kubernetes.io/os": "linux"}),
        ("linux/arm64", {"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64"}),
        ("linux/arm/v7", {"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm"}),
    ],
)
def test_a_build_runs_on_a_node_of_its_platform(builder: str, platform: str | None, expected: dict[str, str]) -> None:
    assert pod(build_spec(builder, platform=platform))["nodeSelector"] == expected
