"""The rooms import what docs/architecture.md says and no more."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"

ALLOWED = {
    "__main__": {"components"},
    "components": set(),
    "setup": set(),
    "ops": {"components", "setup"},
    "offline": {"setup"},
    "lab": {"setup", "offline"},
    "benchmarks": {"components.labels"},
    "policies": set(),
    "components.settings": set(),
    "components.jenkins": {"components.settings"},
    "components.gitlab": {"components.settings"},
    "components.proxy": {"components.settings"},
    "components.docker": {f"components.{each}" for each in ("settings", "jenkins", "gitlab", "proxy")},
    "components.kubernetes": {"components.settings", "components.gitlab"},
}
"""By room, or package of components/: what it may import of the others, as the beginning of a module's name."""

FOLDERS = [room.replace(".", "/") for room in ALLOWED if room != "__main__"]


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = file.relative_to(ROOT).parts[: -node.level] if node.level else ()
            module = ".".join((*above, *([node.module] if node.module else [])))
            yield from (f"{module}.{each.name}" for each in node.names)


def files(room: str) -> list[Path]:
    place = ROOT / room.replace(".", "/")
    return sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_or_package_imports_only_what_it_may(room: str) -> None:
    beside = {each for each in (*ALLOWED, "tests") if each.count(".") == room.count(".") and each != room}
    strange = {
        f"{file.relative_to(ROOT)} imports {name}"
        for file in files(room)
        for name in imported(file)
        if any(f"{name}.".startswith(f"{other}.") for other in beside)
        and not any(f"{name}.".startswith(f"{each}.") for each in ALLOWED[room])
    }
    assert strange == set()


@pytest.mark.parametrize("package", ["jenkins", "gitlab", "proxy"])
def test_jenkins_and_gitlabs_texts_and_the_proxys_rules_know_no_pulumi(package: str) -> None:
    assert not [name for file in files(f"components.{package}") for name in imported(file) if "pulumi" in name]


def test_the_product_is_the_largest_room_that_is_no_test() -> None:
    sizes = {room: sum(len(file.read_text().splitlines()) for file in files(room)) for room in ALLOWED}
    assert max(sizes, key=lambda room: sizes[room]) == "components", sizes


@pytest.mark.parametrize("room", FOLDERS)
def test_every_room_says_what_it_is(room: str) -> None:
    said = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text()))
    assert said or (ROOT / room / "README.md").is_file()
    assert f"`{room.removeprefix('components/')}/`" in PAGE.read_text()


def test_the_socket_is_mounted_a_pod_made_and_a_setting_defined_where_the_page_says() -> None:
    for place, text in {
        "components/docker/access/host_socket.py": "ContainerVolumeArgs",
        "components/kubernetes/builders/kaniko.py": "--digest-file=",
        "components/settings/jenkins.py": "http_port",
    }.items():
        assert f"`{place}`" in PAGE.read_text()
        assert text in (ROOT / place).read_text()


def test_every_module_beside_the_packages_has_its_row() -> None:
    modules = {path.name for path in (ROOT / "components").glob("*.py")} - {"__init__.py"}
    assert {name for name in modules if f"\n| `{name}` |" in PAGE.read_text()} == modules
