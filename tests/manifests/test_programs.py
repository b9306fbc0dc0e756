"""What judges the manifests is pinned, to the last file of it."""

import re

import pytest

from tests.manifests import programs
from tests.manifests.programs import Tool


@pytest.mark.parametrize("tool", programs.TOOLS, ids=lambda tool: tool.name)
def test_every_tool_pins_its_version_and_the_sums_of_all_it_is_built_from(tool: Tool) -> None:
    assert re.fullmatch(r"v\d+\.\d+\.\d+", tool.version)
    assert f"{tool.pinned} {tool.version} h1:" in (tool.folder / "go.sum").read_text()


def test_cert_managers_schema_is_pinned_with_its_sum() -> None:
    pinned = re.search(r"^require (\S+ v\S+)$", (programs.CERT_MANAGER / "go.mod").read_text(), re.MULTILINE)
    assert pinned
    assert f"{pinned[1]} h1:" in (programs.CERT_MANAGER / "go.sum").read_text()


def test_checkovs_packages_are_locked_with_hashes_and_without_an_address() -> None:
    text = programs.CHECKOV_REQUIREMENTS.read_text()
    packages = re.findall(r"^[a-z0-9].*", text, re.MULTILINE)
    assert any(package.startswith("checkov==") for package in packages)
    assert all("==" in package for package in packages)
    assert text.count("--hash=sha256:") >= len(packages)
    assert "://" not in text


def test_a_schema_that_names_its_fields_is_closed_and_one_that_names_none_stays_open() -> None:
    schema = {"properties": {"labels": {"additionalProperties": {"type": "string"}}, "spec": {"properties": {}}}}
    closed = programs._closed(schema)  # noqa: SLF001
    assert closed["additionalProperties"] is False
    assert closed["properties"]["labels"] == {"additionalProperties": {"type": "string"}}
    assert closed["properties"]["spec"]["additionalProperties"] is False
