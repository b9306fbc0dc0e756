"""What every stack registers is what tests/registrations has recorded. Its README.md says how to record again."""

import contextlib
import difflib
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from google.protobuf import json_format  # type: ignore[import-untyped]

from components import certificates, docker, kubernetes, settings
from components.docker import drain, host, image
from components.kubernetes import mutual_tls
from components.proxy import haproxy
from components.settings.model import SECRETS
from components.state import NAME
from tests.support.engine import STATE_CALL, Engine, is_secret, is_unknown, set_config, urn_name
from tests.support.kubernetes_platform import state
from tests.support.kubernetes_stack import PULL_PASSWORD, REGISTRY_PASSWORD, FakeReader
from tests.support.settings import PASSWORD, RUNNER_TOKEN, TLS_KEY

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests" / "registrations"
STACKS = {
    path.name.removeprefix("Pulumi.").removesuffix(".yaml"): path
    for folder in (ROOT / "stacks", ROOT / "examples" / "stacks", RECORDED / "stacks")
    for path in sorted(folder.glob("Pulumi.*.yaml"))
}
MADE_UP = {
    "adminPassword": PASSWORD,
    "registryPassword": REGISTRY_PASSWORD,
    "registryPullPassword": PULL_PASSWORD,
    "gitlabRunnerToken": RUNNER_TOKEN,
    "tcpTlsKey": TLS_KEY,
}
"""What a stack's owner sets beside the committed file."""

LEFT_OUT = {
    *("name", "object", "version", "packageRef", "propertyDependencies", "sourcePosition", "stackTrace"),
    *("acceptSecrets", "acceptResources", "acceptsByteString", "supportsPartialValues", "supportsResultReporting"),
    *("parentStackTraceHandle", "deleteBeforeReplaceDefined"),
}
"""Fields of a registration that no program decides, or that are recorded in another form."""


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_registers_what_is_recorded(name: str, request: pytest.FixtureRequest, monkeypatch: Any) -> None:
    monkeypatch.setattr(certificates, "read", lambda path: f"(the text of {path})\n")
    monkeypatch.setattr(image, "plugins", lambda: "(the text of plugins.txt)")
    monkeypatch.setattr(host, "platform", lambda _: "linux/arm64")
    monkeypatch.setattr(haproxy, "rules", lambda: {name: f"(the text of {name})\n" for name in haproxy.RULES})
    monkeypatch.setattr(drain, "_digest", lambda _: "(digest)")
    monkeypatch.setattr(secrets, "token_urlsafe", lambda _: "(generated)")
    monkeypatch.setattr(mutual_tls, "period", lambda: 85)
    monkeypatch.setattr(mutual_tls, "made", lambda: dict.fromkeys(("certificate", "key"), "(made)"))
    files = ("authority", "server", "serverKey", "client", "clientKey", "expires")
    monkeypatch.setattr(mutual_tls, "issued", lambda _, hosts: {file: f"({file} of {hosts[0]})" for file in files})
    warnings: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", warnings.append)
    both = merged(registered(name, preview=False), registered(name, preview=True))
    made = written({**both, "warnings": sorted(set(warnings))})
    path = RECORDED / f"{name}.yaml"
    if request.config.getoption("--update-registrations"):
        path.write_text(made)
    kept = path.read_text() if path.exists() else ""
    changed = "\n".join(difflib.unified_diff(kept.splitlines(), made.splitlines(), "recorded", "registered", "", "", 2))
    assert not changed, (
        f"{changed}\nIf that is meant: pytest tests/contract/test_registrations.py --update-registrations"
    )


@pytest.mark.parametrize("name", STACKS)
def test_pulumi_shows_each_next_step_whole(name: str) -> None:
    """It cuts a text at 150 characters."""
    steps = yaml.safe_load((RECORDED / f"{name}.yaml").read_text())["outputs"]["inputs"]["next"]
    assert [step for step in steps if len(step) > 150] == []


def test_nothing_is_recorded_for_a_stack_that_is_gone(request: pytest.FixtureRequest) -> None:
    gone = [path for path in RECORDED.glob("*.yaml") if path.stem not in STACKS]
    if request.config.getoption("--update-registrations"):
        for path in gone:
            path.unlink()
    assert not [path for path in gone if path.exists()]


def registered(name: str, *, preview: bool) -> dict[str, Any]:
    """Run the program on a stack; give its registrations by name, and its hooks."""
    found = yaml.safe_load(STACKS[name].read_text())["config"]
    keys = {key.removeprefix("ci:"): value for key, value in found.items()}
    if keys["platform"] == "docker" and keys["docker"].get("access", "socket") in {"socket", "proxy"}:
        # Else the group of this machine's own socket is recorded.
        keys["docker"].setdefault("socketGroup", 998)
    loaded = _loaded(keys)
    engine = Engine(preview=preview)
    engine.answers[STATE_CALL] = state()

    def program() -> None:
        if loaded.platform == "kubernetes":
            kubernetes.KubernetesCi(NAME, loaded, reader=FakeReader())
        else:
            docker.DockerCi(NAME, loaded)

    with contextlib.chdir(ROOT):
        engine.run(program)
    return {
        **{
            name: _options(request)
            | {"inputs": engine.inputs[name]}
            | ({"outputs": engine.finished[name]} if name in engine.finished and name != NAME else {})
            for name, request in engine.requests.items()
        },
        "outputs": {"type": "outputs", "inputs": engine.finished[NAME]},
        "hooks": sorted(engine.hooks),
    }


def _loaded(keys: dict[str, Any]) -> settings.Settings:
    """Give the settings of a stack, to which a made-up value of each secret comes that it lacks."""
    lacking = {"gitlabRunnerToken"} if "gitlabRunner" in keys else set[str]()
    # A generated password would be another one in each recording.
    if keys["platform"] == "kubernetes":
        lacking |= {"registryPassword", "registryPullPassword"}
    elif not lacking and keys.get("jenkins", {}).get("setup") != "wizard":
        lacking |= {"adminPassword"}
    if "keyFile" not in keys.get("docker", {}).get("tcp", {"keyFile"}):
        lacking |= {"tcpTlsKey"}
    given = {**{key: MADE_UP[key] for key in lacking}, **keys}
    texts = {f"ci:{key}": value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}
    set_config(texts, [f"ci:{key}" for key in SECRETS if key in given])
    return settings.load()


def _options(request: Any) -> dict[str, Any]:
    given = {key: _short(value) for key, value in json_format.MessageToDict(request).items()}
    kept = {key: value for key, value in given.items() if key not in LEFT_OUT and value != {}}
    # In the order in which they happened to be ready.
    return kept | {key: sorted(kept[key]) for key in ("dependencies",) if key in kept}


def _short(value: Any) -> Any:
    """Give a URN by the resource's name alone; a provider's reference has an id behind it."""
    if isinstance(value, Mapping):
        return {key: _short(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_short(part) for part in value]
    if not isinstance(value, str) or not value.startswith("urn:pulumi:"):
        return value
    return urn_name("::".join(value.split("::")[:4]))


def merged(update: Any, preview: Any) -> Any:
    """Give what both modes register; where they differ, both values."""
    if is_secret(update) and is_secret(preview):
        return {"(secret)": merged(update["value"], preview["value"])}
    if all(isinstance(each, Mapping) and not is_secret(each) for each in (update, preview)):
        keys = sorted({*update, *preview})
        both = {key: merged(update.get(key), preview.get(key)) for key in keys}
        return {key: value for key, value in both.items() if value is not None}
    if isinstance(update, list) and isinstance(preview, list) and len(update) == len(preview):
        return [merged(*pair) for pair in zip(update, preview, strict=True)]
    if isinstance(update, str) and update.startswith("H4sI"):
        update = preview = "(packed)"  # gzip's output differs between machines; its digest is of the tar
    shown = [_plain(value) for value in (update, preview)]
    return shown[0] if shown[0] == shown[1] else {"(update)": shown[0], "(preview)": shown[1]}


def _plain(value: Any) -> Any:
    if is_unknown(value):
        return "(unknown)"
    if is_secret(value):
        return {"(secret)": _plain(value["value"])}
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items() if part is not None}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


class Writer(yaml.CSafeDumper):
    """Writes YAML whose changes are easy to read: each value on lines of its own, no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(writer: Writer, text: str) -> Any:
    text = text.replace(str(ROOT), "(project)")
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Writer.add_representer(str, _text)


def written(found: Any) -> str:
    return yaml.dump(found, Dumper=Writer, width=1_000_000, default_flow_style=None, allow_unicode=True)
