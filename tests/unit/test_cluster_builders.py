"""What every builder makes of a build: a pod, and nothing else."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from components.kubernetes.builders import BUILDERS
from components.settings.pod_security import LEVELS, NEEDS, Builder, looser
from tests.support.builder_specs import CONTEXTS, PAIRS, SECRETS, SSH, build_spec, env, pod
from tests.support.pod_security import breaches

each_builder = pytest.mark.parametrize("builder", list(BUILDERS))
each_pair = pytest.mark.parametrize(("builder", "context"), PAIRS)


def containers(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*spec["containers"], *spec.get("initContainers", ())]


def test_every_builder_that_a_build_may_name_is_there_and_says_what_it_needs() -> None:
    assert set(BUILDERS) == set(NEEDS)
    assert {builder: needs.level for builder, needs in NEEDS.items()} == {
        "kaniko": "baseline",
        "buildkit": "privileged",
        "buildah": "baseline",
    }


@each_pair
def test_a_pod_passes_the_level_that_its_builder_needs_and_no_stricter_one(builder: Builder, context: str) -> None:
    spec = pod(build_spec(builder, context=CONTEXTS[context]))
    refusing = [level for level in ("restricted", "baseline") if breaches(spec, level)]
    assert refusing == list(NEEDS[builder].refused_by)
    assert NEEDS[builder].level == next(level for level in LEVELS if level not in refusing)


def test_a_level_is_looser_than_those_before_it_alone() -> None:
    assert looser("privileged", "baseline")
    assert looser("baseline", "restricted")
    assert not looser("baseline", "baseline")
    assert not looser("restricted", "privileged")
    assert not looser("privileged", "none that is known")


@each_pair
def test_every_mount_has_its_volume_and_every_volume_a_mount(builder: str, context: str) -> None:
    spec = pod(replace(build_spec(builder, context=CONTEXTS[context]), trusted_ca="0123"))
    mounted = {mount["name"] for of in containers(spec) for mount in of["volumeMounts"]}
    assert mounted == {volume["name"] for volume in spec["volumes"]}


@each_pair
def test_no_secret_and_no_reference_to_one_is_among_arguments_and_variables(builder: str, context: str) -> None:
    for of in containers(pod(build_spec(builder, context=CONTEXTS[context]))):
        shown = json.dumps([of.get("args"), of.get("command"), of.get("env")])
        assert "valueFrom" not in shown
        for secret in SECRETS.values():
            assert secret.strip() not in shown


@each_pair
def test_secret_files_are_read_only_and_not_for_everybody(builder: str, context: str) -> None:
    spec = pod(build_spec(builder, context=CONTEXTS[context]))
    secret = {volume["name"] for volume in spec["volumes"] if "secret" in volume}
    for volume in spec["volumes"]:
        if "secret" in volume:
            assert volume["secret"]["defaultMode"] & 0o007 == 0
    for of in containers(spec):
        assert all(mount.get("readOnly") for mount in of["volumeMounts"] if mount["name"] in secret)


@each_pair
def test_no_group_of_the_volumes_opens_sshs_key_to_more_than_its_owner(builder: str, context: str) -> None:
    spec = pod(build_spec(builder, context=CONTEXTS[context]))
    assert "fsGroup" not in spec.get("securityContext", {})


@each_builder
def test_the_builder_never_sees_the_git_token_and_git_never_the_registrys_login(builder: str) -> None:
    spec = pod(build_spec(builder, context=CONTEXTS["git with a token"]))
    assert "git" not in {mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
    assert "logins" not in {mount["name"] for mount in spec["initContainers"][0]["volumeMounts"]}


@each_builder
def test_what_fetches_from_git_can_write_to_its_own_folders_alone(builder: str) -> None:
    [fetch] = pod(build_spec(builder, context=CONTEXTS["git"]))["initContainers"]
    assert fetch["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {mount["mountPath"] for mount in fetch["volumeMounts"]} == {"/context", "/tmp"}


@each_builder
def test_git_over_ssh_trusts_the_given_host_keys_alone_and_asks_nobody(builder: str) -> None:
    [fetch] = pod(build_spec(builder, context=CONTEXTS["git over ssh"]))["initContainers"]
    variables = env(fetch)
    assert variables["KNOWN_HOSTS"] == SSH["knownHosts"]
    assert "StrictHostKeyChecking=yes" in variables["GIT_SSH_COMMAND"]
    assert "/secrets/git/key" in variables["GIT_SSH_COMMAND"]
    assert variables["GIT_TERMINAL_PROMPT"] == "0"


@each_builder
def test_a_company_s_authorities_are_trusted_beside_the_public_ones_by_builder_and_git(builder: str) -> None:
    spec = pod(replace(build_spec(builder, context=CONTEXTS["git"]), trusted_ca="0123"))
    [mount] = [mount for mount in spec["containers"][0]["volumeMounts"] if mount["name"] == "trust"]
    folders = env(spec["containers"][0])["SSL_CERT_DIR"].split(":")
    place = mount["mountPath"].rpartition("/")[0] if "subPath" in mount else mount["mountPath"]
    assert place in folders
    # Beside the others, not instead of them: in their folder as one more file, or in a folder of its own.
    assert mount.get("subPath") == "ca.crt" or len(folders) == 2
    assert "trust" in {mount["name"] for mount in spec["initContainers"][0]["volumeMounts"]}
    assert not any(volume["name"] == "trust" for volume in pod(build_spec(builder))["volumes"])


@each_builder
def test_memory_is_reserved_whole_and_a_tenth_of_the_processor(builder: str) -> None:
    resources = {"cpuMillicores": 4000, "memoryMib": 2048, "diskMib": 16384}
    spec = pod(build_spec(builder, resources=resources, context=CONTEXTS["git"]))
    for of in containers(spec):
        assert of["resources"] == {
            "requests": {"cpu": "400m", "memory": "2048Mi", "ephemeral-storage": "512Mi"},
            "limits": {"cpu": "4000m", "memory": "2048Mi", "ephemeral-storage": "16384Mi"},
        }
    unlimited = [volume["name"] for volume in spec["volumes"] if volume.get("emptyDir") == {}]
    assert unlimited == []
    [checkout] = [volume for volume in spec["volumes"] if volume["name"] == "context"]
    assert checkout["emptyDir"] == {"sizeLimit": "16384Mi"}


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


@each_builder
def test_a_builder_gives_the_same_pod_for_the_same_build(builder: str) -> None:
    assert pod(build_spec(builder, args={"A": "1", "B": "2"})) == pod(build_spec(builder, args={"B": "2", "A": "1"}))
