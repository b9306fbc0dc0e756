"""The rooms import what docs/architecture.md says and no more."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"

ALLOWED = {
    "__main__.py": {"components"},
    "components": set(),
    "ops": {"components"},
    "offline": {"ops.toolchain"},
    "lab": {"ops.toolchain", "offline"},
    "benchmarks": {"components.labels"},
    "policies": set(),
}
"""By room: what it may import of the others, as the beginning of a module's name."""

INSIDE = {
    "settings": set(),
    "jenkins": {"settings"},
    "gitlab": {"settings"},
    "proxy": {"settings"},
    "docker": {"settings", "jenkins", "gitlab", "proxy"},
    "kubernetes": {"settings", "gitlab"},
}
"""By package of components/: which of the other packages it may import."""


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{each.name}" for each in node.names)


def files(room: str) -> list[Path]:
    place = ROOT / room
    return [place] if place.is_file() else sorted(place.rglob("*.py"))


def strange(room: str, others: set[str], allowed: set[str], prefix: str = "") -> set[str]:
    """Give the imports of a room that are of the others and not allowed, each with its file."""
    found = set()
    for file in files(f"{prefix.replace('.', '/')}{room}"):
        for name in imported(file):
            of_other = any(f"{name}.".startswith(f"{prefix}{other}.") for other in others - {room})
            if of_other and not any(f"{name}.".startswith(f"{prefix}{each}.") for each in allowed):
                found.add(f"{file.relative_to(ROOT)} imports {name}")
    return found


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    assert strange(room, {*ALLOWED, "tests"}, ALLOWED[room]) == set()


@pytest.mark.parametrize("package", INSIDE)
def test_a_package_of_the_product_imports_only_what_it_may(package: str) -> None:
    assert strange(package, set(INSIDE), INSIDE[package], "components.") == set()


@pytest.mark.parametrize("package", ["jenkins", "gitlab", "proxy"])
def test_jenkins_and_gitlabs_texts_and_the_proxys_rules_know_no_pulumi(package: str) -> None:
    assert not [name for file in files(f"components/{package}") for name in imported(file) if "pulumi" in name]


def test_the_product_is_the_largest_room_that_is_no_test() -> None:
    sizes = {room: sum(len(file.read_text().splitlines()) for file in files(room)) for room in ALLOWED}
    assert max(sizes, key=lambda room: sizes[room]) == "components", sizes


@pytest.mark.parametrize("room", [*sorted({*ALLOWED} - {"__main__.py"}), *(f"components/{each}" for each in INSIDE)])
def test_every_room_says_what_it_is(room: str) -> None:
    assert (
        ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text())) or (ROOT / room / "README.md").is_file()
    )
    assert f"`{room.removeprefix('components/')}/`" in PAGE.read_text()


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("components/docker/access/host_socket.py", "ContainerVolumeArgs"),
        ("components/kubernetes/builders/kaniko.py", "--digest-file="),
        ("components/settings/jenkins.py", "http_port"),
    ],
)
def test_the_socket_is_mounted_a_pod_made_and_a_setting_defined_where_the_page_says(place: str, text: str) -> None:
    assert f"`{place}`" in PAGE.read_text()
    assert text in (ROOT / place).read_text()
