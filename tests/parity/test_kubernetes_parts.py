"""The parts of the bundled Kubernetes plugin that need no cluster."""

from __future__ import annotations

import copy
from typing import Any

import pulumi  # noqa: F401 (the whole of it, before the plugins take their bare part)
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline.plugins.kubernetes import checkpoint, immutable, managers, merge, quantity, settings
from offline.plugins.kubernetes.awaiting import custom, job, pod
from offline.plugins.kubernetes.difference import Differences, parse_path, write_path
from offline.plugins.kubernetes.kubeconfig import parse
from offline.plugins.kubernetes.normalize import normalize
from offline.plugins.kubernetes.objects import Kind, split_id
from offline.plugins.rpc import PluginError
from offline.plugins.values import UNKNOWN, Secret, from_struct, to_struct

_KEYS = st.sampled_from(["a", "b", "c", "x.y", 'with"quote'])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
)
_OBJECT = st.dictionaries(_KEYS, _JSON.filter(lambda value: value is not None), max_size=4)


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ("1000m", "1"),
        ("0.5", "500m"),
        (0.5, "500m"),
        (1, "1"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("1000Mi", "1000Mi"),
        ("0.5Ki", "512"),
        ("1000", "1k"),
        ("1500", "1500"),
        ("1e3", "1e3"),
        ("100k", "100k"),
        ("0", "0"),
        ("not one", "not one"),
        (True, True),
    ],
)
def test_a_quantity_is_written_as_the_api_server_writes_it(given_: Any, kept: Any) -> None:
    assert quantity.canonical(given_) == kept


@given(st.decimals(min_value="0.001", max_value="1000000", places=3), st.sampled_from(["", "m", "k", "Ki", "Mi"]))
def test_a_canonical_quantity_is_canonical(number: Any, suffix: str) -> None:
    once = quantity.canonical(f"{number}{suffix}")
    assert quantity.canonical(once) == once


def _applied(old: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _applied(merged.get(key), value)
    return merged


def _without_nulls(value: Any) -> Any:
    """Drop the nulls of maps: a merge patch has no way to set one."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value


@given(_OBJECT, _OBJECT)
def test_a_merge_patch_turns_the_old_into_the_new(old: Any, new: Any) -> None:
    old, new = _without_nulls(old), _without_nulls(new)
    assert merge.same(_applied(copy.deepcopy(old), merge.merge_patch(old, new)), new)


@given(_OBJECT)
def test_what_is_equal_differs_in_nothing(obj: Any) -> None:
    assert merge.merge_patch(obj, copy.deepcopy(obj)) == {}
    assert merge.same(merge.prune(obj, obj), obj)


@given(st.lists(_KEYS | st.integers(0, 9), min_size=1, max_size=5).filter(lambda path: isinstance(path[0], str)))
def test_a_path_that_is_written_is_read_back(path: list[str | int]) -> None:
    assert parse_path(write_path(tuple(path))) == tuple(path)


def test_true_is_not_one() -> None:
    assert not merge.same({"a": True}, {"a": 1})
    assert merge.same({"a": 1.0}, {"a": 1})


def _leaves(old: Any, new: Any, *fixed: str) -> dict[str, tuple[str, bool]]:
    paths = [tuple(one.split(".")) for one in fixed]
    found = Differences(lambda path, value: any(immutable.touches(path, value, one) for one in paths))
    found.find(merge.merge_patch(old, new), old, new)
    return {write_path(path): (leaf.change, leaf.replaces) for path, leaf in found.leaves.items()}


def test_changes_within_a_list_are_told_by_element_and_field() -> None:
    old = {"spec": {"containers": [{"name": "a", "image": "x", "tty": True}]}}
    new = {"spec": {"containers": [{"name": "a", "image": "y"}, {"name": "b"}]}}
    assert _leaves(old, new, "spec.containers.*.image") == {
        "spec.containers[0].image": ("update", True),
        "spec.containers[0].tty": ("delete", False),
        "spec.containers[1]": ("add", False),
    }


def test_a_whole_that_holds_an_immutable_field_replaces() -> None:
    assert _leaves({}, {"spec": {"selector": {"a": "b"}}}, "spec.selector") == {"spec": ("add", True)}
    assert _leaves({"spec": {"selector": 1}}, {}, "spec.selector") == {"spec": ("delete", False)}


def test_what_is_not_known_yet_is_a_change() -> None:
    assert _leaves({"data": {"a": "1"}}, {"data": {"a": UNKNOWN}}, "data") == {"data.a": ("update", True)}


def test_a_secrets_data_is_sealed_wherever_it_came_from() -> None:
    inputs = {"apiVersion": "v1", "kind": "Secret", "data": {"a": "MQ=="}}
    state = checkpoint.record(inputs, dict(inputs), inputs, api_version="v1", manager="m")
    assert isinstance(state["data"], Secret)
    assert isinstance(state["__inputs"]["data"], Secret)
    read = from_struct(to_struct(state), sealed=True)
    assert checkpoint.parse(read)[0] == inputs
    assert checkpoint.manager(read) == "m"


def test_a_secret_in_a_list_seals_the_list_and_one_in_a_map_its_key() -> None:
    outputs = {"spec": {"env": [{"name": "A", "value": "1"}], "labels": {"a": "1", "b": "2"}}}
    sealed = checkpoint.seal(outputs, {"spec": {"env": [{"value": Secret("1")}], "labels": {"a": Secret("1")}}})
    assert isinstance(sealed["spec"]["env"], Secret)
    assert isinstance(sealed["spec"]["labels"]["a"], Secret)
    assert sealed["spec"]["labels"]["b"] == "2"


def test_a_custom_resource_keeps_what_a_built_in_kind_would_lose() -> None:
    parts = {"metadata": {"name": "x", "uid": "1"}, "spec": {"a": None, "resources": {"limits": {"cpu": "1000m"}}}}
    custom_resource = normalize({"apiVersion": "example.test/v1", "kind": "Thing", **parts})
    built_in = normalize({"apiVersion": "apps/v1", "kind": "Deployment", **parts})
    assert custom_resource["spec"] == parts["spec"]
    assert built_in["spec"] == {"resources": {"limits": {"cpu": "1"}}}
    assert custom_resource["metadata"] == built_in["metadata"] == {"name": "x"}


def test_fields_of_the_creator_pass_to_the_new_manager_with_those_that_it_has() -> None:
    entries = [
        {"manager": "pulumi-kubernetes", "operation": "Update", "fieldsV1": {"f:data": {"f:a": {}}}},
        {"manager": "pulumi-kubernetes-1a", "operation": "Apply", "fieldsV1": {"f:data": {"f:b": {}}}},
        {"manager": "kubelet", "operation": "Update", "subresource": "status"},
    ]
    [patch] = managers.take_over({"metadata": {"managedFields": entries}}, "pulumi-kubernetes-1a")
    assert [one["manager"] for one in patch["value"]] == ["kubelet", "pulumi-kubernetes-1a"]
    assert patch["value"][1]["fieldsV1"] == {"f:data": {"f:a": {}, "f:b": {}}}


def test_a_job_that_failed_for_any_reason_has_failed() -> None:
    failed = {"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": "exit code 42"}
    job_ = {"metadata": {"name": "x"}, "status": {"startTime": "now", "conditions": [failed]}}
    assert job.progress(job_)[2] == "[PodFailurePolicy] exit code 42"


def test_a_pod_says_why_its_container_ended() -> None:
    ended = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    conditions = [
        {"type": "PodScheduled", "status": "True"},
        {"type": "Initialized", "status": "True"},
        {"type": "Ready", "status": "False", "reason": "PodFailed"},
    ]
    status = {"conditions": conditions, "containerStatuses": [{"name": "main", "state": ended}]}
    [complaint] = pod.complaints({"metadata": {"name": "p", "namespace": "n"}, "status": status})
    assert complaint == '[Pod n/p]: container "main" completed with exit code 137 (OOMKilled)'


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("condition=Ready", True),
        ("condition=ready=true", True),
        ("condition=Ready=False", False),
        ("jsonpath={.status.phase}=Running", True),
        ("jsonpath={.status.phase}", True),
        ("jsonpath={.status.none}", False),
        ('jsonpath={.status.conditions[?(@.type=="Ready")].status}=True', True),
        ("jsonpath={.status.list[1]}=b", True),
        ('["condition=Ready", "jsonpath={.status.phase}=Failed"]', False),
    ],
)
def test_what_is_waited_for_is_read_from_the_annotation(text: str, holds: bool) -> None:  # noqa: FBT001 (a case)
    status = {"phase": "Running", "list": ["a", "b"], "conditions": [{"type": "Ready", "status": "True"}]}
    assert all(one.holds({"status": status}) for one in custom.parse(text)) == holds


def test_a_condition_that_is_none_is_refused_with_those_that_are() -> None:
    with pytest.raises(PluginError, match="condition=Ready"):
        custom.parse("Ready")


def test_settings_are_refused_by_name_with_the_nearest() -> None:
    found = dict(settings.problems({"kubeconfg": "x", "enableServerSideApply": "false"}, default_provider=False))
    assert "did you mean `kubeconfig`?" in found["kubeconfg"]
    assert "leave it out" in found["enableServerSideApply"]


def test_only_another_cluster_makes_a_new_provider() -> None:
    def kubeconfig(server: str, token: str) -> dict[str, Any]:
        cluster = f"clusters: [{{name: c, cluster: {{server: '{server}'}}}}]"
        user = f"users: [{{name: u, user: {{token: {token}}}}}]"
        context = "contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x"
        return {"kubeconfig": f"{cluster}\n{user}\n{context}\n"}

    old = kubeconfig("https://a", "1")
    assert settings.differences(old, kubeconfig("https://a", "2")) == (["kubeconfig"], [])
    assert settings.differences(old, kubeconfig("https://b", "1")) == (["kubeconfig"], ["kubeconfig"])
    named = {"clusterIdentifier": "one"}
    assert settings.differences(old | named, kubeconfig("https://b", "1") | named) == (["kubeconfig"], [])


def test_a_kubeconfigs_text_is_never_repeated_in_an_error() -> None:
    with pytest.raises(PluginError) as caught:
        parse("users: [{token: canary\n")
    assert "canary" not in str(caught.value)


def test_names_of_kinds_and_ids_are_read() -> None:
    assert Kind.of_token("kubernetes:core/v1:Secret") == Kind("", "v1", "Secret")
    assert Kind.of_token("kubernetes:cert-manager.io/v1:Certificate").api_version == "cert-manager.io/v1"
    assert split_id("ns/name") == ("ns", "name")
    assert split_id("name") == ("", "name")
