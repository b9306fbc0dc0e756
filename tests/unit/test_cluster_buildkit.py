"""What BuildKit is told, and by whom it is started."""

import csv
import tomllib
from dataclasses import replace
from typing import Any

import pytest

from tests.support.builder_specs import CONTEXTS, build_spec, container, env, pod, values


def configuration(**keys: Any) -> dict[str, Any]:
    found = tomllib.loads(env(container(replace(build_spec("buildkit"), **keys)))["BUILDKITD"])
    tables: dict[str, Any] = found.get("registry", {})
    return tables


@pytest.mark.parametrize(
    ("keys", "flag", "expected"),
    [
        ({"context": {"inline": {"ci/D": ""}}, "dockerfile": "ci/D"}, "--opt", ["filename=ci/D"]),
        ({"args": {"B": "2", "A": "1, one"}}, "--opt=build-arg:A", ["1, one"]),
        ({"labels": {"b.c": "2", "a": "x y"}}, "--opt=label:b.c", ["2"]),
        ({"target": "runtime"}, "--opt=target", ["runtime"]),
        ({"platform": "linux/arm64"}, "--opt=platform", ["linux/arm64"]),
        ({"cache": {"enabled": False}}, "--import-cache", []),
        ({"cache": {"enabled": False}}, "--export-cache", []),
        ({}, "--opt", ["filename=Dockerfile"]),
    ],
)
def test_each_setting_becomes_its_flag(keys: dict[str, Any], flag: str, expected: list[str]) -> None:
    assert values(build_spec("buildkit", **keys), flag) == expected


@pytest.mark.parametrize(
    ("context", "folder"),
    [("inline", "/tmp/context"), ("git", "/context/source"), ("volume", "/context")],
)
def test_a_folder_is_context_and_has_the_dockerfile(context: str, folder: str) -> None:
    job = build_spec("buildkit", context=CONTEXTS[context])
    assert values(job, "--local") == [f"context={folder}", f"dockerfile={folder}"]


def test_only_packed_files_are_unpacked_first() -> None:
    assert env(container(build_spec("buildkit")))["PACKED"] == "/context/context.tar.gz"
    for context in ("git", "volume", "https"):
        assert env(container(build_spec("buildkit", context=CONTEXTS[context])))["PACKED"] == ""


def test_an_archive_is_fetched_by_the_daemon() -> None:
    job = build_spec("buildkit", context=CONTEXTS["https"])
    assert values(job, "--opt") == ["context=https://files.example.org/x.tar.gz", "filename=Dockerfile"]
    assert values(job, "--local") == []


def test_every_destination_is_one_name_of_the_one_image_that_is_pushed() -> None:
    job = replace(build_spec("buildkit"), destinations=["r:5000/a:1", "ghcr.io/team/a:1"])
    [output] = values(job, "--output")
    assert next(csv.reader([output])) == ["type=image", "name=r:5000/a:1,ghcr.io/team/a:1", "push=true"]


def test_plain_http_is_spoken_with_the_named_hosts_alone() -> None:
    found = configuration(plain_registries=("r.ci.svc:5000", "mirror.ci.svc:5000"))
    assert found == {"r.ci.svc:5000": {"http": True}, "mirror.ci.svc:5000": {"http": True}}
    assert configuration() == {}


def test_mirrored_hosts_are_looked_for_in_the_mirror_and_the_public_one_has_its_new_name() -> None:
    found = configuration(
        mirrors={"quay.io": "m:5000", "index.docker.io": "m:5000"}, plain_registries=("m:5000", "quay.io")
    )
    assert found == {
        "docker.io": {"mirrors": ["m:5000"]},
        "m:5000": {"http": True},
        "quay.io": {"http": True, "mirrors": ["m:5000"]},
    }


def test_the_daemon_is_a_user_and_has_two_capabilities_to_lend_and_none_of_its_own() -> None:
    spec = pod(build_spec("buildkit"))
    assert container(build_spec("buildkit"))["securityContext"] == {
        "allowPrivilegeEscalation": True,
        "capabilities": {"drop": ["ALL"], "add": ["SETGID", "SETUID"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "runAsGroup": 1000,
        "seccompProfile": {"type": "Unconfined"},
        "appArmorProfile": {"type": "Unconfined"},
    }
    # The logins' group, so that nobody has to open them to everybody.
    assert spec["securityContext"] == {"supplementalGroups": [0]}
