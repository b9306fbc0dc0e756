"""What the repository says about itself agrees with what its code does."""

import json
import os
import re
import tarfile
import textwrap
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml

from components.settings import reference
from components.settings.docker import DockerSettings
from components.settings.load import PREFIX, read
from components.settings.model import SECRETS
from tests.support import release

ROOT = Path(__file__).parent.parent.parent
STACKS = sorted([*ROOT.glob("stacks/Pulumi.*.yaml"), *ROOT.glob("examples/stacks/Pulumi.*.yaml")])


def config(stack: Path) -> dict[str, Any]:
    found = yaml.safe_load(stack.read_text())["config"]
    return {key.removeprefix(PREFIX): value for key, value in found.items()}


def test_only_the_platform_must_be_written_and_every_update_refreshes_first_to_put_back_what_was_removed() -> None:
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    assert list(project["config"]) == ["ci:platform"]
    assert project["options"]["refresh"] == "always"


def test_no_example_holds_a_secret_or_a_salt() -> None:
    examples = [path for path in STACKS if path.parent.parent.name == "examples"]
    assert examples
    for path in examples:
        assert not re.search(r"secure:|encryptionsalt|encryptedkey", path.read_text()), path
        assert not set(config(path)) & set(SECRETS), path


@pytest.mark.parametrize("stack", STACKS, ids=lambda path: path.name)
def test_every_committed_stack_names_its_schema_and_satisfies_it(stack: Path) -> None:
    schema = os.path.relpath(reference.SCHEMA, stack.parent)
    assert stack.read_text().startswith(f"# yaml-language-server: $schema={schema}\n")
    jsonschema.validate(yaml.safe_load(stack.read_text()), json.loads(reference.SCHEMA.read_text()))


def test_the_schema_refuses_a_misspelt_setting_in_the_editor() -> None:
    schema = json.loads(reference.SCHEMA.read_text())
    misspelt: tuple[Any, ...] = ({"ci:registery": {}}, {"ci:jenkins": {"httpport": 1}}, {"ci:jenkins": {"httpPort": 0}})
    for wrong in misspelt:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"config": {"ci:platform": "docker", **wrong}}, schema)


def test_the_offline_stack_is_the_dev_stack_with_another_image() -> None:
    dev, offline = config(ROOT / "stacks/Pulumi.dev.yaml"), config(ROOT / "stacks/Pulumi.offline.yaml")
    assert offline.pop("jenkins") == {"image": "ci-offline-controller:1"}
    assert offline == dev


def test_each_access_has_its_stack_and_its_page() -> None:
    taken = {config(stack).get("docker", {}).get("access", "socket") for stack in STACKS}
    every = set(get_args(DockerSettings.model_fields["access"].annotation))
    assert taken == every
    for access in every - {"socket"}:
        assert f"`access: {access}`" in (ROOT / f"docs/how-to/{access}.md").read_text()


def test_the_schema_and_the_reference_do_not_lag_behind_the_settings() -> None:
    assert reference.SCHEMA.read_text() == reference.schema()
    assert reference.SETTINGS.read_text() == reference.reference()


def test_the_program_declares_no_resource_and_is_short() -> None:
    text = (ROOT / "__main__.py").read_text()
    assert len(text.splitlines()) <= 12
    assert "pulumi_docker" not in text


def test_the_packages_of_each_lock_have_hashes_and_no_address() -> None:
    for name in ("requirements.txt", "requirements-dev.txt", "tests/manifests/checkov-requirements.txt"):
        text = (ROOT / name).read_text()
        packages = re.findall(r"^[a-z0-9].*", text, re.MULTILINE)
        assert packages
        assert all("==" in package for package in packages)
        assert text.count("--hash=sha256:") >= len(packages)
        assert "://" not in text


def test_the_development_lock_has_the_very_versions_of_the_runtime_lock() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^([a-z0-9._-]+==[^ ;]+)", (ROOT / name).read_text(), re.MULTILINE))

    assert pins("requirements.txt") <= pins("requirements-dev.txt")


@pytest.mark.parametrize("command", ["make up", "make test", "make sample", "make down", "make password"])
def test_the_readme_shows_every_verb_that_the_makefile_has_for_a_newcomer(command: str) -> None:
    verb = command.removeprefix("make ")
    assert command in (ROOT / "README.md").read_text()
    assert re.search(rf"^{verb}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_every_place_that_a_page_points_to_is_there() -> None:
    pages = [*ROOT.glob("*/README.md"), ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    place = re.compile(r"`((?:[\w.-]+/)+(?:[\w-]+\.\w+)?)`|\]\(([\w./-]+)(?:#[\w-]+)?\)")
    named = [(page, found[1] or found[2]) for page in pages for found in place.finditer(page.read_text())]
    assert len(named) > 150
    folders = [ROOT, ROOT / "tests", ROOT / "components", ROOT / "components/kubernetes"]
    missing = {each for page, each in named if not any((folder / each).exists() for folder in (page.parent, *folders))}
    assert missing <= {".local/"}  # made by the first `make`


def test_each_setting_that_a_page_shows_with_its_value_is_accepted() -> None:
    shown: list[dict[str, Any]] = []
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        text = page.read_text().replace("$2y$10$...", f"$2y$10${'x' * 53}")
        blocks = [yaml.safe_load(textwrap.dedent(each)) for each in re.findall(r"(?ms)^ *```yaml\n(.*?)^ *```", text)]
        shown += [each for each in (each.get("config", each) for each in blocks) if all(PREFIX in key for key in each)]
        for key, value in re.findall(r"`(ci:[\w.]+):\s+([^`]+)`", text):
            inner = yaml.safe_load(value)
            for part in reversed(key.split(".")[1:]):
                inner = {part: inner}
            shown.append({key.partition(".")[0]: inner})
    assert len(shown) > 30
    for found in shown:
        raw = {key.removeprefix(PREFIX): value for key, value in found.items()}
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in raw.items()}
        problems = read({"platform": "docker", **texts}, frozenset())[1]
        assert not [each for each in problems if each.code in {"unknown_key", "wrong_type", "not_accepted"}], found


def test_the_readme_is_one_screen_and_no_more() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def test_each_promise_names_a_test_that_exists() -> None:
    rows = re.findall(r"^\| .*", (ROOT / "docs/promises.md").read_text(), re.MULTILINE)
    rows = [row for row in rows if not row.endswith((" --- |", " held by |"))]
    named = [re.findall(r"`([\w/]+\.py)::(test_\w+)`", row.rpartition(" | ")[2]) for row in rows]
    assert len(rows) > 60
    assert not [row for row, tests in zip(rows, named, strict=True) if not tests]
    gone = [
        (file, test)
        for file, test in {each for tests in named for each in tests}
        if not re.search(rf"^def {test}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE)
    ]
    assert gone == []


def test_a_link_to_a_section_leads_to_one() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    links = [(page, *link) for page in pages for link in re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", page.read_text())]
    assert links
    for page, target, section in links:
        titles = re.findall(r"^#+ (.*)", (page.parent / target if target else page).read_text(), re.MULTILINE)
        assert section in {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}, page


def test_the_table_of_changed_settings_names_only_settings_that_exist() -> None:
    _, *sections = reference.reference().split("\n## ")
    known = set(re.findall(r"^\| `(ci:\w+)`", sections[0], re.MULTILINE))
    for section in sections[1:]:
        known |= {f"{section.split()[0]}.{key}" for key in re.findall(r"^\| `(\w+)`", section, re.MULTILINE)}
    named = set(re.findall(r"`(ci:[A-Za-z.]+)`", (ROOT / "docs/reference/README.md").read_text()))
    assert len(named) > 20
    assert named <= known


def test_the_program_of_the_release_that_upgrades_start_from_is_all_there_and_its_version_is_told_alike() -> None:
    with tarfile.open(release.ARCHIVE) as packed:
        names = {name.partition("/")[0] for name in packed.getnames()}
    assert names == set(release.PROGRAM)
    [version] = re.findall(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert f"\n## {version} - " in (ROOT / "CHANGELOG.md").read_text()


def test_the_table_of_examples_has_every_stack_and_every_folder() -> None:
    table = [line for line in (ROOT / "examples/README.md").read_text().splitlines() if line.startswith("| ")]
    assert all("`tests/" in row for row in table[2:])
    named = set(re.findall(r"`(examples/)?([a-z-]+)`", "".join(table))) - {("", "sample")}
    folders = {path.name for path in (ROOT / "examples").iterdir() if path.is_dir() and path.name != "stacks"}
    assert named == {*(("", path.name.split(".")[1]) for path in STACKS), *(("examples/", name) for name in folders)}
