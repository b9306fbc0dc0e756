"""What a builder makes of a build: a pod, and nothing else."""

import json
from dataclasses import replace
from typing import Any

import pytest

from components.kubernetes.builders import BUILDERS, LEVELS, Pod, Work
from components.kubernetes.namespaces import strictest
from tests.support.kubernetes_stack import PEM_KEY, build, settings
from tests.support.pod_security import breaches

SECRETS = {"gitToken": "glpat-0123456789", "gitSshKey": PEM_KEY, "storageCredentials": "aws-credentials"}
HTTPS = {"repository": "https://git.example.org/team/website.git"}
SSH = {
    "repository": "ssh://git@git.example.org/team/website.git",
    "credentials": "gitSshKey",
    "knownHosts": "git.example.org ssh-ed25519 AAAA\nother ssh-ed25519 BBBB",
}
CONTEXTS: dict[str, dict[str, Any]] = {
    "inline": {"inline": {"Dockerfile": ""}},
    "git": {"git": HTTPS},
    "git with a token": {"git": {**HTTPS, "credentials": "gitToken", "user": "me"}},
    "git over ssh": {"git": SSH},
    "https": {"archive": "https://files.example.org/x.tar.gz"},
    "s3": {"archive": "s3://bucket/x.tar.gz"},
    "gs": {"archive": "gs://bucket/x.tgz"},
    "volume": {"volume": {"claim": "sources"}},
}


def work(**keys: Any) -> Work:
    """Give a build of these settings, with its addresses resolved."""
    return Work(
        build=settings(builds=[build(**keys)], **SECRETS).builds[0],
        image="kaniko:1",
        destinations=["r.ci.svc:5000/website:1"],
        cache_repository="r.ci.svc:5000/cache/website",
        mirrors={},
        git_image="git:1",
        config_map="website-0123",
        object_storage={},
    )


def kaniko(job: Work) -> Pod:
    return BUILDERS["kaniko"](job)


def container(job: Work) -> dict[str, Any]:
    [only] = kaniko(job).spec["containers"]
    found: dict[str, Any] = only
    return found


def args(job: Work) -> list[str]:
    found: list[str] = container(job)["args"]
    return found


def values(job: Work, flag: str) -> list[str]:
    return [argument.removeprefix(f"{flag}=") for argument in args(job) if argument.startswith(f"{flag}=")]


def env(of: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in of["env"]}


def test_the_smallest_build_is_told_just_this() -> None:
    assert args(work()) == [
        "--context=tar:///context/context.tar.gz",
        "--dockerfile=Dockerfile",
        "--destination=r.ci.svc:5000/website:1",
        "--cache=true",
        "--cache-repo=r.ci.svc:5000/cache/website",
        "--cache-ttl=336h",
        "--compressed-caching=false",
        "--digest-file=/dev/termination-log",
        "--push-retry=6",
        "--image-download-retry=3",
        "--log-format=text",
    ]


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
    assert values(work(**keys), flag) == expected


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
    assert values(work(context=CONTEXTS[context]), "--context") == [expected]


def test_a_folder_in_the_repository_or_on_the_volume_is_the_context() -> None:
    assert values(work(context={"git": {**HTTPS, "directory": "a/b"}}), "--context") == ["dir:///context/source/a/b"]
    assert values(work(context={"volume": {"claim": "x", "path": "a"}}), "--context") == ["dir:///context/a"]


def test_every_destination_is_pushed_and_layers_stay_in_this_stacks_registry() -> None:
    job = replace(work(), destinations=["r:5000/a:1", "ghcr.io/team/a:1"])
    assert values(job, "--destination") == ["r:5000/a:1", "ghcr.io/team/a:1"]
    assert values(job, "--cache-repo") == ["r.ci.svc:5000/cache/website"]


def test_plain_http_is_spoken_with_the_named_hosts_alone() -> None:
    job = replace(work(), plain_registries=("r.ci.svc:5000", "mirror.ci.svc:5000"))
    assert values(job, "--insecure-registry") == ["r.ci.svc:5000", "mirror.ci.svc:5000"]
    assert not any(argument in {"--insecure", "--skip-tls-verify", "--insecure-pull"} for argument in args(job))


def test_mirrored_hosts_are_looked_for_in_the_mirror() -> None:
    job = replace(work(), mirrors={"quay.io": "m:5000", "index.docker.io": "m:5000"})
    assert values(job, "--registry-map") == ["index.docker.io=m:5000", "quay.io=m:5000"]


@pytest.mark.parametrize("context", list(CONTEXTS))
def test_no_pod_is_more_than_baseline_and_only_kaniko_itself_is_more_than_restricted(context: str) -> None:
    pod = kaniko(work(context=CONTEXTS[context]))
    assert pod.level == "baseline"
    assert breaches(pod.spec, "baseline") == []
    beyond = breaches(pod.spec, "restricted")
    assert {breach.partition(":")[0] for breach in beyond} <= {"kaniko", "fetch"}
    assert not {f"{name}: allowPrivilegeEscalation" for name in ("kaniko", "fetch")} & set(beyond)
    assert not any("seccomp" in breach for breach in beyond)


def test_kaniko_has_five_capabilities_and_no_way_to_get_more() -> None:
    context = container(work())["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"], "add": ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"]}
    assert context["allowPrivilegeEscalation"] is False
    assert "privileged" not in context
    assert kaniko(work()).spec["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}


def test_what_fetches_from_git_can_write_to_its_own_folders_alone() -> None:
    [fetch] = kaniko(work(context=CONTEXTS["git"])).spec["initContainers"]
    assert fetch["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {mount["mountPath"] for mount in fetch["volumeMounts"]} == {"/context", "/tmp"}


@pytest.mark.parametrize("context", list(CONTEXTS))
def test_every_mount_has_its_volume_and_every_volume_a_mount(context: str) -> None:
    spec = kaniko(replace(work(context=CONTEXTS[context]), trusted_ca="0123")).spec
    mounted = {
        mount["name"]
        for container in [*spec["containers"], *spec.get("initContainers", ())]
        for mount in container["volumeMounts"]
    }
    assert mounted == {volume["name"] for volume in spec["volumes"]}


@pytest.mark.parametrize("context", list(CONTEXTS))
def test_no_secret_and_no_reference_to_one_is_among_arguments_and_variables(context: str) -> None:
    spec = kaniko(work(context=CONTEXTS[context])).spec
    for of in [*spec["containers"], *spec.get("initContainers", ())]:
        shown = json.dumps([of.get("args"), of.get("command"), of.get("env")])
        assert "valueFrom" not in shown
        for secret in SECRETS.values():
            assert secret.strip() not in shown


@pytest.mark.parametrize("context", list(CONTEXTS))
def test_secret_files_are_read_only_and_not_for_everybody(context: str) -> None:
    spec = kaniko(work(context=CONTEXTS[context])).spec
    secret = {volume["name"] for volume in spec["volumes"] if "secret" in volume}
    for volume in spec["volumes"]:
        if "secret" in volume:
            assert volume["secret"]["defaultMode"] & 0o007 == 0
    for of in [*spec["containers"], *spec.get("initContainers", ())]:
        assert all(mount.get("readOnly") for mount in of["volumeMounts"] if mount["name"] in secret)


def test_the_builder_never_sees_the_git_token_and_git_never_the_registrys_login() -> None:
    spec = kaniko(work(context=CONTEXTS["git with a token"])).spec
    assert "git" not in {mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
    assert "logins" not in {mount["name"] for mount in spec["initContainers"][0]["volumeMounts"]}


@pytest.mark.parametrize(
    ("context", "variable"), [("s3", "AWS_SHARED_CREDENTIALS_FILE"), ("gs", "GOOGLE_APPLICATION_CREDENTIALS")]
)
def test_object_storage_is_opened_with_a_file(context: str, variable: str) -> None:
    job = replace(work(context=CONTEXTS[context]), object_storage={"AWS_REGION": "eu-central-1"})
    variables = env(container(job))
    assert variables[variable] == "/secrets/storage/credentials"
    assert ("AWS_REGION" in variables) == (context == "s3")


def test_logins_are_where_the_executor_looks_for_them() -> None:
    spec = kaniko(work()).spec
    [volume] = [volume for volume in spec["volumes"] if volume["name"] == "logins"]
    assert volume["secret"]["items"] == [{"key": ".dockerconfigjson", "path": "config.json"}]
    [mount] = [mount for mount in container(work())["volumeMounts"] if mount["name"] == "logins"]
    assert mount["mountPath"] == "/kaniko/.docker"


def test_git_over_ssh_trusts_the_given_host_keys_alone_and_asks_nobody() -> None:
    [fetch] = kaniko(work(context=CONTEXTS["git over ssh"])).spec["initContainers"]
    variables = env(fetch)
    assert variables["KNOWN_HOSTS"] == SSH["knownHosts"]
    assert "StrictHostKeyChecking=yes" in variables["GIT_SSH_COMMAND"]
    assert "/secrets/git/key" in variables["GIT_SSH_COMMAND"]
    assert variables["GIT_TERMINAL_PROMPT"] == "0"


def test_a_company_s_authorities_are_trusted_beside_the_public_ones_by_builder_and_git() -> None:
    spec = kaniko(replace(work(context=CONTEXTS["git"]), trusted_ca="0123")).spec
    [mount] = [mount for mount in spec["containers"][0]["volumeMounts"] if mount["name"] == "trust"]
    assert mount["mountPath"].startswith(f"{env(spec['containers'][0])['SSL_CERT_DIR']}/")
    assert mount["subPath"] == "ca.crt"  # beside the others, not instead of them
    assert "trust" in {mount["name"] for mount in spec["initContainers"][0]["volumeMounts"]}
    assert not any(volume["name"] == "trust" for volume in kaniko(work()).spec["volumes"])


def test_memory_is_reserved_whole_and_a_tenth_of_the_processor() -> None:
    job = work(resources={"cpuMillicores": 4000, "memoryMib": 2048, "diskMib": 16384}, context=CONTEXTS["git"])
    spec = kaniko(job).spec
    for of in [*spec["containers"], *spec["initContainers"]]:
        assert of["resources"] == {
            "requests": {"cpu": "400m", "memory": "2048Mi", "ephemeral-storage": "512Mi"},
            "limits": {"cpu": "4000m", "memory": "2048Mi", "ephemeral-storage": "16384Mi"},
        }
    [checkout] = [volume for volume in spec["volumes"] if volume["name"] == "context"]
    assert checkout["emptyDir"] == {"sizeLimit": "16384Mi"}


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        (None, {"kubernetes.io/os": "linux"}),
        ("linux/arm64", {"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64"}),
        ("linux/arm/v7", {"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm"}),
    ],
)
def test_a_build_runs_on_a_node_of_its_platform(platform: str | None, expected: dict[str, str]) -> None:
    assert kaniko(work(platform=platform)).spec["nodeSelector"] == expected


def test_a_failed_container_leaves_the_last_lines_of_its_log() -> None:
    spec = kaniko(work(context=CONTEXTS["git"])).spec
    for of in [*spec["containers"], *spec["initContainers"]]:
        assert of["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_a_builder_gives_the_same_pod_for_the_same_build() -> None:
    assert kaniko(work(args={"A": "1", "B": "2"})) == kaniko(work(args={"B": "2", "A": "1"}))


def test_the_namespace_is_as_strict_as_the_least_strict_builder_lets_it_be() -> None:
    assert strictest(set()) == "restricted"
    assert strictest({"restricted", "baseline"}) == "baseline"
    assert strictest(set(LEVELS)) == "privileged"
