"""The bare program and what kubectl applies are the same deployment as the stack's; what is seen of a build."""

import ast
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from ops.toolchain.errors import Trouble
from tools.bench import bare
from tools.bench.cluster import node, stacks
from tools.bench.cluster.node import Watch
from tools.bench.cluster.plan import per_build
from tools.bench.cluster.words import KubernetesWords, manifests

PROVIDER = "urn:pulumi:n001::ci::pulumi:providers:kubernetes::cluster"
SPACE = "urn:pulumi:n001::ci::kubernetes:core/v1:Namespace::builds"
ACCOUNT = "urn:pulumi:n001::ci::kubernetes:core/v1:ServiceAccount::account"


def resource(kind: str, name: str, inputs: dict[str, Any], **parts: Any) -> dict[str, Any]:
    urn = f"urn:pulumi:n001::ci::{kind}::{name}"
    return {"urn": urn, "type": kind, "custom": True, "inputs": inputs, **parts}


def deployment(*resources: dict[str, Any]) -> dict[str, Any]:
    cluster = {"__internal": {}, "kubeconfig": "/k", "enablePatchForce": "true", "version": "4.34.2"}
    named = {"metadata": {"name": "ci"}}
    first = [
        resource("pulumi:providers:kubernetes", "cluster", cluster),
        resource("kubernetes:core/v1:Namespace", "builds", {"kind": "Namespace", **named}, outputs=named),
        resource("kubernetes:core/v1:ServiceAccount", "account", named, outputs=named),
    ]
    return {"deployment": {"resources": [*first, *resources]}}


def job(name: str = "web-1", *, build: str = "web") -> dict[str, Any]:
    meta = {
        "name": name,
        "namespace": "ci",
        "labels": {"ci/build": build},
        "annotations": {"pulumi.com/replaceUnready": "true"},
    }
    spec = {"template": {"spec": {"serviceAccountName": "ci", "containers": [{"name": "ci", "args": ["ci"]}]}}}
    return resource(
        "kubernetes:batch/v1:Job",
        name,
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec},
        provider=f"{PROVIDER}::1",
        propertyDependencies={"metadata": [SPACE], "spec": [ACCOUNT]},
    )


def call(text: str, kind: str) -> dict[str, str]:
    """Give the arguments of the last call of this class in a program, as they are written."""
    found = {
        ast.unparse(node.value.func): {word.arg or "": ast.unparse(word.value) for word in node.value.keywords}
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
    }
    return found[kind]


def program(*resources: dict[str, Any], renames: dict[str, str] | None = None) -> str:
    return bare.program(deployment(*resources), renames or {}, KubernetesWords())


def test_the_bare_program_says_settings_of_the_provider_as_a_program_does() -> None:
    assert call(program(), "kubernetes.Provider") == {"kubeconfig": "'/k'", "enable_patch_force": "True"}


def test_the_bare_program_refers_to_objects_where_they_are_pointed_at_and_nowhere_else() -> None:
    found = call(program(job()), "kubernetes.batch.v1.Job")
    assert "'namespace': builds.metadata.name" in found["metadata"]
    assert "'serviceAccountName': account.metadata.name" in found["spec"]
    assert "'name': 'ci', 'args': ['ci']" in found["spec"]
    assert set(found) == {"metadata", "spec", "opts"}


def test_the_bare_program_binds_the_very_objects_that_the_stack_binds() -> None:
    binding = resource(
        "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding",
        "binding",
        {"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"name": "ci", "namespace": "ci"}]},
        propertyDependencies={"subjects": [ACCOUNT]},
    )
    found = call(program(binding), "kubernetes.rbac.v1.RoleBinding")
    assert found["subjects"] == "[{'name': account.metadata.name, 'namespace': account.metadata.name}]"
    assert found["role_ref"] == "{'kind': 'Role', 'name': 'r'}"


def test_a_secrets_texts_are_written_as_texts_so_that_names_in_them_are_renamed_too() -> None:
    encoded = {"config": base64.b64encode(b"registry.ci-o.svc").decode()}
    secret = resource("kubernetes:core/v1:Secret", "login", {"data": bare.sealed(encoded), "type": "Opaque"})
    found = call(program(secret, renames={"ci-o": "ci-b"}), "kubernetes.core.v1.Secret")
    assert found["string_data"] == "pulumi.Output.secret({'config': 'registry.ci-b.svc'})"
    assert "data" not in found


@pytest.mark.parametrize("kind", ["kubernetes:cert-manager.io/v1:Certificate", "docker:index/image:Image"])
def test_a_kind_that_the_package_does_not_have_is_refused_by_its_type(kind: str) -> None:
    with pytest.raises(bare.UnknownShapeError, match=kind):
        program(resource(kind, "x", {}))


def test_kubectl_is_given_the_jobs_and_contexts_of_the_builds_without_what_only_pulumi_reads() -> None:
    context = {"kind": "ConfigMap", "metadata": {"name": "web-1", "labels": {"ci/build": "web"}}, "binaryData": {}}
    state = deployment(
        resource("kubernetes:core/v1:ConfigMap", "web-context", context),
        resource("kubernetes:core/v1:ConfigMap", "trust", {"kind": "ConfigMap", "metadata": {"name": "trust"}}),
        job(),
        job("other-1", build="other"),
    )
    found = manifests(state, ["web"])
    assert [item["metadata"]["name"] for item in found["items"]] == ["web-1", "web-1"]
    assert found["kind"] == "List"
    assert "annotations" not in found["items"][1]["metadata"]
    assert found["items"][1]["spec"] == job()["inputs"]["spec"]


def test_the_builds_have_names_contexts_and_destinations_of_their_own() -> None:
    made = stacks.builds(100)
    assert len({json.dumps(build["context"]) for build in made}) == 100
    assert len({build["destinations"][0] for build in made}) == 100
    assert [build["name"] for build in stacks.builds(2, first=5)] == ["b005", "b006"]


def test_what_one_build_more_costs_is_told_for_both_sides() -> None:
    seconds = {"this project": {1: 2.0, 20: 2.4, 100: 4.0}, "bare program": {1: 1.9, 20: 2.2, 100: 3.8}}
    figures = {f"{side}, {n}": {"seconds": (value,) * 5} for side, of in seconds.items() for n, value in of.items()}
    assert per_build(figures) == (
        "from 1 to 20 builds, each adds 21 ms (bare program: 16 ms); "
        "from 20 to 100 builds, each adds 20 ms (bare program: 20 ms)."
    )


@pytest.mark.parametrize(
    ("place", "marks"),
    [
        (
            "lab/kubepods/burstable/pod12-34",
            {"memory.max_usage_in_bytes": "300", "memory.stat": "cache 9\ntotal_rss 200\n"},
        ),
        (
            "kubepods.slice/b.slice/kubepods-b-pod12_34.slice",
            {"memory.peak": "300", "memory.stat": "anon 200\nfile 9\n"},
        ),
    ],
)
def test_a_pods_memory_is_read_from_its_control_group_of_either_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, marks: dict[str, str]
) -> None:
    monkeypatch.setattr(node, "_GROUPS", (tmp_path / "none", tmp_path))
    (tmp_path / place).mkdir(parents=True)
    for name, text in marks.items():
        (tmp_path / place / name).write_text(text)
    watch = Watch()
    watch.weigh("12-34")
    assert (watch.peak, watch.anonymous) == (300, 200)
    for file in (tmp_path / place).iterdir():
        file.unlink()
    watch.weigh("12-34")  # the pod has ended
    assert watch.peak == 300


def test_a_job_that_was_not_seen_to_end_gives_no_figure() -> None:
    with pytest.raises(Trouble, match="No Job"):
        _ = Watch(begun=1.0).seconds
    assert Watch(begun=1.0, ended=3.5).seconds == 2.5
