"""What kaniko is told."""

from dataclasses import replace
from typing import Any

import pytest

from tests.support.builder_specs import CONTEXTS, HTTPS, args, build_spec, container, env, pod, values


@pytest.mark.parametrize(
    ("keys", "flag", "expected"),
    [
        ({"context": {"inline": {"ci/D": ""}}, "dockerfile": "ci/D"}, "--dockerfile", ["ci/D"]),
        ({"args": {"B": "2", "A": "1 = one"}}, "--build-arg", ["A=1 = one", "B=2"]),
        ({"labels": {"b.c": "2", "a": "x y"}}, "--label", ["a=x y", "b.c=2"]),
        ({"target": "runtime"}, "--target", ["runtime"]),
        ({"platform": "linux/arm64"}, "--custom-platform", ["linux/arm64"]),
        ({"cache": {"hours": 24}}, "--cache-ttl", ["24h"]),
        ({"cache": {"enabled": False}}, "--cache", []),
        ({"cache": {"enabled": False}}, "--cache-repo", []),
        ({}, "--target", []),
        ({}, "--custom-platform", []),
        ({}, "--insecure-registry", []),
        ({}, "--registry-map", []),
    ],
)
def test_each_setting_becomes_its_flag(keys: dict[str, Any], flag: str, expected: list[str]) -> None:
    assert values(build_spec(**keys), flag) == expected


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ("inline", "tar:///context/context.tar.gz"),
        ("git", "dir:///context/source"),
        ("https", "https://files.example.org/x.tar.gz"),
        ("s3", "s3://bucket/x.tar.gz"),
        ("gs", "gs://bucket/x.tgz"),
        ("volume", "dir:///context"),
    ],
)
def test_each_kind_of_context_is_found_where_it_is(context: str, expected: str) -> None:
    assert values(build_spec(context=CONTEXTS[context]), "--context") == [expected]


def test_a_folder_in_the_repository_or_on_the_volume_is_the_context() -> None:
    assert values(build_spec(context={"git": {**HTTPS, "directory": "a/b"}}), "--context") == [
        "dir:///context/source/a/b"
    ]
    assert values(build_spec(context={"volume": {"claim": "x", "path": "a"}}), "--context") == ["dir:///context/a"]


def test_every_destination_is_pushed_and_layers_stay_in_this_stacks_registry() -> None:
    job = replace(build_spec(), destinations=["r:5000/a:1", "ghcr.io/team/a:1"])
    assert values(job, "--destination") == ["r:5000/a:1", "ghcr.io/team/a:1"]
    assert values(job, "--cache-repo") == ["r.ci.svc:5000/cache/website"]


def test_plain_http_is_spoken_with_the_named_hosts_alone() -> None:
    job = replace(build_spec(), plain_registries=("r.ci.svc:5000", "mirror.ci.svc:5000"))
    assert values(job, "--insecure-registry") == ["r.ci.svc:5000", "mirror.ci.svc:5000"]
    assert not any(argument in {"--insecure", "--skip-tls-verify", "--insecure-pull"} for argument in args(job))


def test_mirrored_hosts_are_looked_for_in_the_mirror() -> None:
    job = replace(build_spec(), mirrors={"quay.io": "m:5000", "index.docker.io": "m:5000"})
    assert values(job, "--registry-map") == ["index.docker.io=m:5000", "quay.io=m:5000"]


def test_kaniko_has_five_capabilities_and_no_way_to_get_more() -> None:
    context = container(build_spec())["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"], "add": ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"]}
    assert context["allowPrivilegeEscalation"] is False
    assert "privileged" not in context
    assert pod(build_spec())["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}


@pytest.mark.parametrize(
    ("context", "variable"), [("s3", "AWS_SHARED_CREDENTIALS_FILE"), ("gs", "GOOGLE_APPLICATION_CREDENTIALS")]
)
def test_object_storage_is_opened_with_a_file(context: str, variable: str) -> None:
    job = replace(build_spec(context=CONTEXTS[context]), object_storage={"AWS_REGION": "eu-central-1"})
    variables = env(container(job))
    assert variables[variable] == "/secrets/storage/credentials"
    assert ("AWS_REGION" in variables) == (context == "s3")
