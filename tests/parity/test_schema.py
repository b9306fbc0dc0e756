"""The parts of the bundled plugins, without an engine: values, checks, differences, the connection, installation."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi  # noqa: F401 (the whole of it, before the plugin takes its bare part)
import pytest
import yaml

from lab.pki import Authority
from offline.plugins import install
from offline.plugins.docker import schema
from offline.plugins.docker.container import Container
from offline.plugins.docker.container_api import duration_text, nanoseconds
from offline.plugins.docker.engine import CONFIG, Connection, Engine
from offline.plugins.docker.image import Image
from offline.plugins.docker.network import Network
from offline.plugins.docker.remote_image import RemoteImage
from offline.plugins.docker.values import UNKNOWN, from_struct, secret, to_struct
from offline.plugins.docker.volume import Volume
from offline.plugins.rpc import PluginError
from tests.support import tls_server

REGISTRATIONS = Path(__file__).parents[1] / "registrations"
TYPES = {
    "docker:index/container:Container": Container.fields,
    "docker:index/image:Image": Image.fields,
    "docker:index/network:Network": Network.fields,
    "docker:index/remoteImage:RemoteImage": RemoteImage.fields,
    "docker:index/volume:Volume": Volume.fields,
    "pulumi:providers:docker": CONFIG,
}
CONTAINER: dict[str, Any] = {"name": "c", "image": "i"}
CHECKED = schema.check(Container.fields, CONTAINER)[0]


def _opened(value: Any) -> Any:
    """Open the secrets of what was recorded, with unknowns as in a preview."""
    if isinstance(value, list):
        return [_opened(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "(secret)" in value:
        return _opened(value["(secret)"])
    return UNKNOWN if "(preview)" in value else {key: _opened(item) for key, item in value.items()}


def test_what_is_implemented_is_what_the_stacks_register_and_it_settles() -> None:
    """Beside the official defaults. What no stack uses is refused by name, so that the plugin stays small."""
    used: dict[str, set[str]] = {token: set() for token in TYPES}
    for path in REGISTRATIONS.glob("*.yaml"):
        for resource in yaml.load(path.read_text(), yaml.CSafeLoader).values():
            if isinstance(resource, dict) and (token := resource.get("type")) in TYPES:
                inputs, failures = schema.check(TYPES[token], _opened(resource["inputs"]))
                assert not failures
                planned = schema.plan(TYPES[token], inputs, {})
                assert not schema.compare(TYPES[token], planned, schema.plan(TYPES[token], inputs, planned))
                used[token] |= set(resource["inputs"])
    for token, fields in TYPES.items():
        own = {name for name, field in fields.items() if not field.output and field.default is None}
        assert own - used[token] == set()


def test_values_survive_the_wire() -> None:
    """Whole numbers stay whole, unknown stays unknown, and a secret is opened on arrival."""
    sent = {"a": [1, 2.5, True, None, "x"], "b": {"c": UNKNOWN}, "d": {}, "e": [], "f": secret({"k": "v"})}
    assert from_struct(to_struct(sent)) == {**sent, "f": {"k": "v"}}


BUILD = {"context": ".", "dockerfile": __file__}
IMAGE = {"imageName": "a:1", "skipPush": True, "build": BUILD}
CACHED = {**BUILD, "cacheFrom": {"images": ["a"]}}


@pytest.mark.parametrize(
    ("inputs", "path", "said"),
    [
        ({"restart": "sometimes"}, "restart", "must be one of no, on-failure"),
        ({"memory": -1}, "memory", "at least 0"),
        ({"memory": "much"}, "memory", "must be a whole number, and is a string"),
        ({"healthcheck": {"interval": "soon"}}, "healthcheck.interval", "is not a duration"),
        ({"healthcheck": {"intervall": "1s"}}, "healthcheck.intervall", "does not implement"),
        ({"ports": [{"external": 80}]}, "ports[0].internal", "is required"),
        ({"ports": {"internal": 80}}, "ports", "must be a list"),
        ({"volumes": [{"hostPath": "relative", "containerPath": "/a"}]}, "volumes[0].hostPath", "not an absolute path"),
        ({"gpus": "all"}, "gpus", "use the official plugin, which knows it"),
        ({"networkDatas": []}, "networkDatas", "does not implement"),
        ({**IMAGE, "skipPush": False}, "skipPush", "must be true"),
        ({**IMAGE, "skipPush": None}, "skipPush", "is required"),
        ({**IMAGE, "buildOnPreview": True}, "buildOnPreview", "must be false"),
        ({**IMAGE, "registry": {"server": "r"}}, "registry", "does not implement"),
        ({**IMAGE, "build": CACHED}, "build.cacheFrom", "does not implement"),
        ({**IMAGE, "build": {"context": "/nowhere", "dockerfile": "x"}}, "build.context", "there is no folder"),
    ],
)
def test_a_wrong_input_of_a_container_or_an_image_is_named(inputs: dict[str, Any], path: str, said: str) -> None:
    """With where it is, and what is wrong."""
    kind = Image(Engine()) if "imageName" in inputs else Container(Engine())
    [failure] = kind.check(inputs if "imageName" in inputs else {**CONTAINER, **inputs})[1]
    assert failure.path == path
    assert said in failure.reason


def test_defaults_are_the_official_ones() -> None:
    assert {name: CHECKED[name] for name in CHECKED[schema.DEFAULTS]} == {
        "containerReadRefreshTimeoutMilliseconds": 15000,
        "mustRun": True,
        "networkMode": "bridge",
        "removeVolumes": True,
        "restart": "no",
        "start": True,
        "waitTimeout": 60,
    }


def test_an_unknown_input_is_planned_as_unknown_and_is_a_change() -> None:
    """As in a preview where the image is yet to be built."""
    fields = Container.fields
    state = schema.plan(fields, CHECKED, {})
    inputs, failures = schema.check(fields, {**CONTAINER, "image": UNKNOWN})
    assert not failures
    assert schema.compare(fields, state, schema.plan(fields, inputs, state)) == {"image": "update"}


def test_zero_and_unset_are_equal_but_an_empty_map_value_is_not() -> None:
    """null, "", 0, false and [] are one; a map's keys count."""
    fields = {"a": schema.text(), "b": schema.whole(), "c": schema.listing(schema.text()), "m": schema.mapping()}
    old = {"a": "", "b": 0, "c": [], "m": {"k": ""}}
    assert schema.compare(fields, old, {"a": None, "b": None, "c": None, "m": {"k": ""}}) == {}
    assert schema.compare(fields, old, {}) == {"m": "delete"}


def test_a_drifted_default_is_no_default_any_more() -> None:
    """A refresh moves the drift into the inputs, and keeps only inputs that there were."""
    state = {**schema.plan(Container.fields, CHECKED, {}), "mustRun": False, "memory": 5}
    after = schema.refreshed(Container.fields, CHECKED, state)
    assert after["mustRun"] is False
    assert "mustRun" not in after[schema.DEFAULTS]
    assert "memory" not in after


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (5, "5s"), (60, "1m0s"), (90, "1m30s"), (3600, "1h0m0s"), (1.5, "1.5s")]
)
def test_durations_are_written_as_go_does(seconds: float, text: str) -> None:
    assert duration_text(int(seconds * 10**9)) == text
    assert nanoseconds(text) == seconds * 10**9


def test_certificates_must_be_complete_and_no_secret_is_shown() -> None:
    assert Connection("tcp://x", cert="c", key="k").problems()[0][0] == "caMaterial"
    assert Connection("http://x").problems()[0][0] == "host"
    complete = Connection("tcp://x:2376", ca="hidden", cert="hidden", key="hidden")
    assert not complete.problems()
    assert "hidden" not in repr(complete)


def test_an_engine_with_another_authority_is_not_trusted(tmp_path: Path) -> None:
    ours, theirs = Authority.new(), Authority.new()
    pair, other = ours.client(), theirs.client()
    with tls_server.serving(tmp_path, pair=ours.server("127.0.0.1"), clients=ours.pem) as port:
        good = Connection(f"tcp://127.0.0.1:{port}", ca=ours.pem, cert=pair.certificate, key=pair.key)
        Engine().configure(good)
        for wrong in (replace(good, ca=theirs.pem), replace(good, cert=other.certificate, key=other.key)):
            with pytest.raises(PluginError, match="no Docker engine answers"):
                Engine().configure(wrong)


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
