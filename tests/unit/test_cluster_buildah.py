"""What Buildah is told."""

import tomllib
from dataclasses import replace
from typing import Any

import pytest

from tests.support.builder_specs import CONTEXTS, HTTPS, args, build_spec, container, env, pod, values

PLAIN = {"unqualified-search-registries": ["docker.io"], "short-name-mode": "disabled"}


def configuration(**keys: Any) -> dict[str, Any]:
    return tomllib.loads(env(container(replace(build_spec("buildah"), **keys)))["REGISTRIES"])


@pytest.mark.parametrize(
    ("keys", "flag", "expected"),
    [
        ({"context": {"inline": {"ci/D": ""}}, "dockerfile": "ci/D"}, "--file", ["ci/D"]),
        ({"args": {"B": "2", "A": "1, one"}}, "--build-arg", ["A=1, one", "B=2"]),
        ({"labels": {"b.c": "2", "a": "x y"}}, "--label", ["a=x y", "b.c=2"]),
        ({"target": "runtime"}, "--target", ["runtime"]),
        ({"platform": "linux/arm64"}, "--platform", ["linux/arm64"]),
        ({"cache": {"hours": 24}}, "--cache-ttl", ["24h"]),
        ({"cache": {"enabled": False}}, "--cache-from", []),
        ({"cache": {"enabled": False}}, "--cache-to", []),
        ({}, "--target", []),
        ({}, "--platform", []),
    ],
)
def test_each_setting_becomes_its_flag(keys: dict[str, Any], flag: str, expected: list[str]) -> None:
    assert values(build_spec("buildah", **keys), flag) == expected


def test_without_a_cache_nothing_is_looked_for_in_one() -> None:
    job = build_spec("buildah", cache={"enabled": False})
    assert "--no-cache" in args(job)
    assert "--layers" not in args(job)


@pytest.mark.parametrize(
    ("context", "file", "place"),
    [
        ("inline", "Dockerfile", "-"),
        ("git", "/context/source/Dockerfile", "/context/source"),
        ("https", "Dockerfile", "https://files.example.org/x.tar.gz"),
        ("volume", "/context/Dockerfile", "/context"),
    ],
)
def test_each_kind_of_context_is_found_where_it_is(context: str, file: str, place: str) -> None:
    job = build_spec("buildah", context=CONTEXTS[context])
    assert values(job, "--file") == [file]
    assert args(job)[-1] == place
    packed = "/context/context.tar.gz" if place == "-" else ""
    assert env(container(job))["PACKED"] == packed


def test_a_folder_in_the_repository_is_the_context() -> None:
    assert args(build_spec("buildah", context={"git": {**HTTPS, "directory": "a/b"}}))[-1] == "/context/source/a/b"


def test_every_destination_is_pushed_the_first_one_first() -> None:
    job = replace(build_spec("buildah"), destinations=["r:5000/a:1", "ghcr.io/team/a:1"])
    assert env(container(job))["DESTINATIONS"] == "r:5000/a:1 ghcr.io/team/a:1"


def test_plain_http_is_spoken_with_the_named_hosts_alone() -> None:
    assert configuration() == PLAIN
    found = configuration(plain_registries=("r.ci.svc:5000",))
    assert found == {**PLAIN, "registry": [{"location": "r.ci.svc:5000", "insecure": True}]}


def test_mirrored_hosts_are_looked_for_in_the_mirror_and_the_public_one_has_its_new_name() -> None:
    found = configuration(
        mirrors={"quay.io": "m:5000", "index.docker.io": "m:5000"}, plain_registries=("m:5000", "quay.io")
    )
    mirror = [{"location": "m:5000", "insecure": True}]
    assert found["registry"] == [
        {"location": "docker.io", "mirror": mirror},
        {"location": "m:5000", "insecure": True},
        {"location": "quay.io", "insecure": True, "mirror": mirror},
    ]
    [secure] = configuration(mirrors={"quay.io": "m:5000"})["registry"]
    assert secure == {"location": "quay.io", "mirror": [{"location": "m:5000"}]}


def test_buildah_has_three_capabilities_and_no_way_to_get_more() -> None:
    context = container(build_spec("buildah"))["securityContext"]
    assert context == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], "add": ["SETFCAP", "SETGID", "SETUID"]},
        "readOnlyRootFilesystem": False,
        "runAsUser": 0,
    }
    # The runtime's own profile would forbid the user namespace, and `baseline` forbids to name none.
    assert "seccompProfile" not in pod(build_spec("buildah")).get("securityContext", {})
