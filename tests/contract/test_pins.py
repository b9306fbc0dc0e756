"""Every pin of the repository is one that renovate.json finds, so `make outdated` too."""

import re
import runpy
import subprocess
from pathlib import Path

from components.settings.model import Settings

ROOT = Path(__file__).parents[2]
FOUND = set(runpy.run_path(str(ROOT / ".ci/outdated.py"))["pins"]())
FILES = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


def found(source: str, file: str = "") -> set[tuple[str, str]]:
    return {(pin.name, pin.version) for pin in FOUND if pin.source == source and pin.file.startswith(file)}


def test_every_image_that_the_settings_name_by_default_is_found() -> None:
    schema = Settings.model_json_schema()
    fields = [each for model in (schema, *schema["$defs"].values()) for each in model.get("properties", {}).items()]
    named = {
        tuple(field["default"].rsplit(":", 1))
        for name, field in fields
        if name.lower().endswith("image") and field.get("default")
    }
    assert len(named) > 9
    assert named <= found("docker")


def test_every_plugin_requirement_module_and_version_of_the_tool_chain_is_found() -> None:
    plugins = (ROOT / "components/jenkins/image/plugins.txt").read_text().splitlines()
    wanted = {tuple(line.split(":")) for line in plugins if not line.startswith("#")}
    assert len(wanted) > 60
    assert wanted == found("jenkins-plugins")
    for file in (each for each in FILES if each.endswith(".in")):
        assert len(found("pypi", file)) == (ROOT / file).read_text().count("==") > 0, file
    pins = (ROOT / "setup/pins.py").read_text()
    versions = set(re.findall(r'^(?!PULUMI_OLDEST)[A-Z_]+VERSION = "(.+)"', pins, re.MULTILINE))
    assert {pin.version for pin in FOUND if pin.file == "setup/pins.py"} == versions
    for file in (each for each in FILES if each.endswith("go.mod")):
        text = (ROOT / file).read_text()
        tools = re.findall(r"^(?:tool |\t)([^\s@(]+)$", text, re.MULTILINE)
        modules = {name for name, _ in found("go", file)}
        assert modules, file
        assert all(any(f"{tool}/".startswith(f"{name}/") for name in modules) for tool in tools), file
