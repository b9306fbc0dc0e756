"""The parts of the bundled plugins, without an engine: checks, defaults, durations, installation."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pulumi  # noqa: F401 (the whole of it, before the plugin takes its bare part)
import pytest
import yaml
from pulumi.runtime.proto import provider_pb2

from offline.plugins.docker import schema
from offline.plugins.docker.container import Container
from offline.plugins.docker.container_api import nanoseconds
from offline.plugins.docker.engine import CONFIG, Engine
from offline.plugins.docker.image import Image
from offline.plugins.docker.named import Network, Volume
from offline.plugins.docker.provider import DockerProvider
from offline.plugins.docker.remote_image import RemoteImage
from offline.plugins.docker.values import UNKNOWN, to_struct
from offline.plugins.install import install
from offline.plugins.rpc import PluginError

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
CHECKED = Container(Engine()).check(CONTAINER)[0]


def _opened(value: Any) -> Any:
    """Open the secrets of what was recorded, with unknowns as in a preview."""
    if isinstance(value, list):
        return [_opened(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "(secret)" in value:
        return _opened(value["(secret)"])
    return UNKNOWN if "(preview)" in value else {key: _opened(item) for key, item in value.items()}


def test_a_provider_says_which_of_its_own_settings_change() -> None:
    olds = {"host": "a", "caMaterial": "x"}
    for news, changed in ((olds, []), ({**olds, "host": "b"}, ["host"]), ({"host": "a"}, ["caMaterial"])):
        asked: Any = provider_pb2.DiffRequest(olds=to_struct(olds), news=to_struct(news))
        nobody: Any = None
        assert DockerProvider.DiffConfig(nobody, asked, nobody).diffs == changed


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


BUILD = {"context": ".", "dockerfile": __file__}
IMAGE = {"imageName": "a:1", "skipPush": True, "build": BUILD}


@pytest.mark.parametrize(
    ("inputs", "path", "said"),
    [
        ({"name": None}, "name", "is required"),
        ({"healthcheck": {"intervall": "1s"}}, "healthcheck.intervall", "does not implement"),
        ({"ports": [{"internal": 80}, {"outer": 80}]}, "ports[1].outer", "does not implement"),
        ({"gpus": "all"}, "gpus", "use the official plugin, which knows it"),
        ({"networkDatas": []}, "networkDatas", "does not implement"),
        ({**IMAGE, "skipPush": False}, "skipPush", "must be true"),
        ({**IMAGE, "skipPush": None}, "skipPush", "must be true"),
        ({**IMAGE, "buildOnPreview": True}, "buildOnPreview", "must be false"),
        ({**IMAGE, "registry": {"server": "r"}}, "registry", "does not implement"),
        ({**IMAGE, "build": {**BUILD, "cacheFrom": {}}}, "build.cacheFrom", "does not implement"),
    ],
)
def test_what_is_not_implemented_of_a_container_or_an_image_is_named(
    inputs: dict[str, Any], path: str, said: str
) -> None:
    kind = Image(Engine()) if "imageName" in inputs else Container(Engine())
    [failure] = kind.check(inputs if "imageName" in inputs else {**CONTAINER, **inputs})[1]
    assert failure.property == path
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


def test_a_drifted_default_is_no_default_any_more() -> None:
    """A refresh moves the drift into the inputs, and keeps only inputs that there were."""
    state = {**schema.plan(Container.fields, CHECKED, {}), "mustRun": False, "memory": 5}
    after = schema.refreshed(Container.fields, CHECKED, state)
    assert after["mustRun"] is False
    assert "mustRun" not in after[schema.DEFAULTS]
    assert "memory" not in after


@pytest.mark.parametrize(("text", "seconds"), [("0s", 0), ("5s", 5), ("1m30s", 90), ("1h0m0s", 3600)])
def test_a_duration_is_read_as_the_engine_wants_it(text: str, seconds: int) -> None:
    assert nanoseconds(text) == seconds * 10**9


def test_what_is_no_duration_is_named() -> None:
    with pytest.raises(PluginError, match="'500ms' is not a duration"):
        nanoseconds("500ms")


def test_an_installed_plugin_serves_from_anywhere(tmp_path: Path) -> None:
    """It prints its port, and ends when its standard input does."""
    for module in ("language", "docker.provider"):
        launcher = tmp_path / "bin" / module
        install(launcher, module, Path(sys.executable))
        with subprocess.Popen(
            [launcher, "127.0.0.1:1"], cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert int(process.stdout.readline()) > 0
            process.stdin.close()
            assert process.wait(timeout=10) == 0
