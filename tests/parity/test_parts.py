"""The parts of the bundled plugins, without an engine: values, checks, differences, installation."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi  # noqa: F401 (the whole of it, before the plugins take their bare part)
import pytest

from offline.plugins import diff, install, refresh, schema
from offline.plugins.docker.build_context import go_mode
from offline.plugins.docker.container_fields import FIELDS, duration_text, nanoseconds
from offline.plugins.docker.container_state import cpus_text
from offline.plugins.docker.engine import Connection, Engine
from offline.plugins.docker.image import Image
from offline.plugins.rpc import Log, PluginError
from offline.plugins.values import UNKNOWN, Secret, from_struct, to_struct
from tests.support import tls_server
from tests.support.certificates import Authority

CONTAINER: dict[str, Any] = {"name": "c", "image": "i"}


def test_values_survive_the_wire() -> None:
    """Whole numbers stay whole, unknown stays unknown, and a secret is opened on arrival."""
    sent = {"a": [1, 2.5, True, None, "x"], "b": {"c": UNKNOWN}, "d": {}, "e": [], "f": Secret({"k": "v"})}
    assert from_struct(to_struct(sent)) == {**sent, "f": {"k": "v"}}


def test_a_secret_is_not_in_its_repr() -> None:
    assert "v" not in repr(Secret("v")).replace("Secret", "")


@pytest.mark.parametrize(
    ("inputs", "path", "said"),
    [
        ({"restart": "sometimes"}, "restart", "must be one of no, on-failure"),
        ({"memory": -1}, "memory", "at least 0"),
        ({"memory": "much"}, "memory", "must be a whole number, and is a string"),
        ({"memorySwap": -2}, "memorySwap", "at least -1"),
        ({"cpuSet": "all"}, "cpuSet", "is not like"),
        ({"healthcheck": {"interval": "soon"}}, "healthcheck.interval", "is not a duration"),
        ({"healthcheck": {"intervall": "1s"}}, "healthcheck.intervall", "did you mean `interval`?"),
        ({"ports": [{"external": 80}]}, "ports[0].internal", "is required"),
        ({"ports": {"internal": 80}}, "ports", "must be a list"),
        ({"volumes": [{"hostPath": "relative", "containerPath": "/a"}]}, "volumes[0].hostPath", "not an absolute path"),
        ({"volumes": [{"hostPath": "/a"}]}, "volumes[0]", "exactly one of containerPath and fromContainer"),
        ({"uploads": [{"file": "/a", "content": "x", "source": "y"}]}, "uploads[0]", "exactly one of content"),
        ({"uploads": [{"file": "/a", "content": "x", "permissions": "rw"}]}, "uploads[0].permissions", "is not like"),
        ({"mounts": [{"target": "/a", "type": "nfs"}]}, "mounts[0].type", "must be one of bind"),
        ({"gpus": "all"}, "gpus", "is not implemented by the bundled plugin"),
        ({"memmory": 1}, "memmory", "did you mean `memory`?"),
        ({"exitCode": 1}, "exitCode", "is not implemented"),
    ],
)
def test_a_wrong_input_is_named(inputs: dict[str, Any], path: str, said: str) -> None:
    """With where it is, and what is wrong."""
    _, failures = schema.check(FIELDS, {**CONTAINER, **inputs})
    assert [failure.path for failure in failures] == [path]
    assert said in failures[0].reason


def test_defaults_are_the_official_ones() -> None:
    inputs, failures = schema.check(FIELDS, CONTAINER)
    assert not failures
    assert inputs[schema.DEFAULTS] == [
        "containerReadRefreshTimeoutMilliseconds",
        "mustRun",
        "networkMode",
        "removeVolumes",
        "restart",
        "start",
        "waitTimeout",
    ]
    assert inputs["restart"] == "no"
    assert inputs["waitTimeout"] == 60


def test_an_unknown_input_is_planned_as_unknown_and_replaces() -> None:
    """As in a preview where the image is yet to be built."""
    state = diff.plan(FIELDS, schema.check(FIELDS, CONTAINER)[0], None)
    inputs, failures = schema.check(FIELDS, {**CONTAINER, "image": UNKNOWN})
    assert not failures
    found = diff.compare(FIELDS, state, diff.plan(FIELDS, inputs, state))
    assert found.replaces == ["image"]


def test_ignored_changes_are_dropped() -> None:
    found = diff.Differences(
        {"labels[0]": ("update", True), "ports[1].external": ("update", True), "name": ("update", True)}
    )
    found.ignore(["labels", "ports[*].external"])
    assert list(found.paths) == ["name"]


def test_zero_and_unset_are_equal_but_an_empty_map_value_is_not() -> None:
    """null, "", 0, false and [] are one; a map's keys count."""
    fields = {"a": schema.text(), "b": schema.whole(), "c": schema.listing(schema.text()), "m": schema.mapping()}
    old = {"a": "", "b": 0, "c": [], "m": {"k": "v"}}
    assert not diff.compare(fields, old, {"a": None, "b": None, "c": None, "m": {"k": "v"}}).paths
    assert list(diff.compare(fields, old, {"m": {"k": "w"}}).paths) == ["m.k"]


def test_a_drifted_default_is_no_default_any_more() -> None:
    """A refresh moves the drift into the inputs, and keeps only inputs that there were."""
    inputs, _ = schema.check(FIELDS, CONTAINER)
    state = {**diff.plan(FIELDS, inputs, None), "mustRun": False, "memory": 5}
    after = refresh.refreshed(FIELDS, inputs, state)
    assert after["mustRun"] is False
    assert "mustRun" not in after[schema.DEFAULTS]
    assert "memory" not in after


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (0, "0s"),
        (5 * 10**9, "5s"),
        (60 * 10**9, "1m0s"),
        (90 * 10**9, "1m30s"),
        (3600 * 10**9, "1h0m0s"),
        (1_500_000_000, "1.5s"),
        (250_000_000, "250ms"),
    ],
)
def test_durations_are_written_as_go_does(nanos: int, text: str) -> None:
    assert duration_text(nanos) == text
    assert nanoseconds(text) == nanos


@pytest.mark.parametrize(("cpus", "text"), [(2, "2.0"), (1.5, "1.5"), (10, "10."), (0.05, "0.1")])
def test_cpus_are_read_back_as_the_official_plugin_does(cpus: float, text: str) -> None:
    """With its slips: 10 comes back as "10.", and 0.05 as "0.1"."""
    assert cpus_text(round(cpus * 10**9)) == text


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        (0o100644, "-rw-r--r--"),
        (0o120777, "Lrwxrwxrwx"),
        (0o104755, "urwxr-xr-x"),
        (0o101777, "trwxrwxrwx"),
        (0, "----------"),
    ],
)
def test_modes_are_written_as_go_does(mode: int, text: str) -> None:
    assert go_mode(mode) == text


def test_certificates_must_be_complete() -> None:
    """And come from one place."""
    assert Connection(cert="c", key="k").problems() == [
        ("caMaterial", "caMaterial, certMaterial and keyMaterial must all be given, or none")
    ]
    assert Connection(ca="a", cert="c", key="k", cert_path="/p").problems()[0][0] == "certPath"
    assert Connection(host="http://x").problems()[0][0] == "host"
    assert not Connection(host="tcp://x:2376", ca="a", cert="c", key="k").problems()


def test_a_connection_shows_no_secret() -> None:
    assert "hidden" not in repr(Connection(ca="hidden", cert="hidden", key="hidden"))


def test_an_engine_with_another_authority_is_not_trusted(tmp_path: Path) -> None:
    ours, theirs = Authority.new(), Authority.new()
    pair = ours.client()
    with tls_server.serving(tmp_path, pair=ours.server("127.0.0.1"), clients=ours.pem) as port:
        good = Connection(host=f"tcp://127.0.0.1:{port}", ca=ours.pem, cert=pair.certificate, key=pair.key)
        Engine().configure(good)
        other = theirs.client()
        for wrong in (replace(good, ca=theirs.pem), replace(good, cert=other.certificate, key=other.key)):
            with pytest.raises(PluginError, match="no Docker engine answers"):
                Engine().configure(wrong)


def test_an_engine_that_refuses_is_named_with_the_systems_own_word() -> None:
    said = "no Docker engine answers at tcp://127.0.0.1:1: connection refused; start the engine"
    with pytest.raises(PluginError, match=said):
        Engine().configure(Connection(host="tcp://127.0.0.1:1"))


def test_an_installed_plugin_serves_from_anywhere(tmp_path: Path) -> None:
    """It prints its port, and ends when its standard input does."""
    install.docker(tmp_path / "plugins", Path(sys.executable))
    install.language_host(tmp_path / "bin", Path(sys.executable))
    launchers = (
        tmp_path / "bin" / "pulumi-language-python",
        tmp_path / "plugins" / "resource-docker-v5.2.0" / "pulumi-resource-docker",
    )
    for launcher in launchers:
        with subprocess.Popen(
            [launcher, "127.0.0.1:1"], cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert int(process.stdout.readline()) > 0
            process.stdin.close()
            assert process.wait(timeout=10) == 0


@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        ({"skipPush": False}, "skipPush"),
        ({}, "skipPush"),
        ({"skipPush": True, "buildOnPreview": True}, "buildOnPreview"),
        ({"skipPush": True, "registry": {"server": "r"}}, "registry"),
        ({"skipPush": True, "build": {"cacheFrom": {"images": ["a"]}}}, "build.cacheFrom"),
        ({"skipPush": True, "build": {"builderVersion": "BuilderV3"}}, "build.builderVersion"),
        ({"skipPush": True, "build": {"context": "/nowhere"}}, "build.context"),
    ],
)
def test_what_an_image_cannot_do_is_refused_by_name(inputs: dict[str, Any], path: str) -> None:
    _, failures = Image(Engine(), Log()).check({"imageName": "a:1", **inputs}, Log(), "urn")
    assert [failure.path for failure in failures] == [path]
