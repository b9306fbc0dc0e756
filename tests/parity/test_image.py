"""docker.Image: built on the engine, and built again when a file of its context changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from docker.errors import DockerException, ImageNotFound

from offline.plugins.docker.build_context import digest
from tests.parity.support import Entry, Look, Stack, container, image_of, printed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import docker


@pytest.fixture(scope="module")
def built(
    shared_stack: Stack, engine: docker.DockerClient, image: str, module_unique: str
) -> Iterator[tuple[Stack, list[Entry], Path]]:
    """A stack with a built image and a container of it; its entries, and its context."""
    context = shared_stack.folder / "context"
    (context / "ignored").mkdir(parents=True)
    (context / "Dockerfile").write_text(f"FROM {image}\nARG WORD=none\nCOPY . /app\nRUN echo $WORD > /word\n")
    (context / "a.txt").write_text("This is a simple file.\n")
    (context / "link").symlink_to("a.txt")
    (context / "ignored" / "b.txt").write_text("1")
    (context / ".dockerignore").write_text("# not part of it\nignored\n*.md\n")
    name = f"{module_unique}-built:1"
    entries = [
        {
            "type": "Image",
            "name": "image",
            "props": {
                "image_name": name,
                "skip_push": True,
                "build": {
                    "context": "context",
                    "platform": "linux/amd64",
                    "args": {"WORD": "yes"},
                    "builder_version": "BuilderV1",
                },
            },
        },
        container("c", "", name=f"{module_unique}-c", image={"$ref": ["image", "repo_digest"]}),
    ]
    shared_stack.declare(*entries)
    shared_stack.up().ok()
    yield shared_stack, entries, context
    shared_stack.destroy()
    try:
        engine.images.remove(name, force=True)
    except (ImageNotFound, DockerException):
        return


def test_the_image_is_built_as_declared(
    built: tuple[Stack, list[Entry], Path], engine: docker.DockerClient, look: Look, module_unique: str
) -> None:
    """Arguments reach the build, ignored files do not, and links stay links."""
    stack, _, _ = built
    made = engine.images.get(f"{module_unique}-built:1")
    recorded = stack.resources()["image"]
    assert recorded["id"] == f"{module_unique}-built:1"
    assert recorded["outputs"]["repoDigest"] == made.id
    found = look(f"{module_unique}-c")
    assert image_of(found) == made.id
    listed = printed(found, "ls /app").split()
    assert "a.txt" in listed
    assert "link" in listed
    assert "ignored" not in listed
    assert printed(found, "cat /word") == "yes\n"


def test_a_second_preview_changes_nothing(built: tuple[Stack, list[Entry], Path]) -> None:
    stack, _, _ = built
    assert stack.changes("--refresh") == {}


def test_an_ignored_file_is_no_change(built: tuple[Stack, list[Entry], Path]) -> None:
    """.dockerignore is honoured by the digest."""
    stack, _, context = built
    (context / "ignored" / "b.txt").write_text("2")
    (context / "notes.md").write_text("new")
    assert stack.changes() == {}


def test_the_digest_of_the_context_is_the_official_one(tmp_path: Path) -> None:
    """A context's digest, as the official plugin 5.2.0 computed it."""
    (tmp_path / "sub").mkdir()
    for name, text, mode in (
        ("Dockerfile", "FROM scratch\n", 0o644),
        ("sub/run", "x\n", 0o755),
        ("a.md", "y\n", 0o600),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    (tmp_path / ".dockerignore").write_text("*.md\n")
    (tmp_path / ".dockerignore").chmod(0o644)
    assert digest(tmp_path, tmp_path / "Dockerfile") == OFFICIAL_DIGEST


OFFICIAL_DIGEST = "e0dee252c0079ba55696c570dbff861d6e577ba05a343faf5e1ee95517ea0dc9"


def test_a_changed_file_builds_again_and_replaces_the_container(
    built: tuple[Stack, list[Entry], Path], look: Look, module_unique: str
) -> None:
    """The preview sees it, with the container's image unknown until it is built."""
    stack, _, context = built
    before = image_of(look(f"{module_unique}-c"))
    (context / "a.txt").write_text("Another simple file.\n")
    assert stack.changes() == {"image": "update", "c": "replace"}
    stack.up().ok()
    after = look(f"{module_unique}-c")
    assert image_of(after) != before
    assert printed(after, "cat /app/a.txt") == "Another simple file.\n"
    assert stack.changes() == {}


def test_a_changed_mode_is_a_change(built: tuple[Stack, list[Entry], Path]) -> None:
    stack, _, context = built
    (context / "a.txt").chmod(0o755)
    assert stack.changes() == {"image": "update", "c": "replace"}


def test_a_failing_build_shows_what_it_printed(built: tuple[Stack, list[Entry], Path]) -> None:
    """The error carries the step that failed."""
    stack, _, context = built
    right = (context / "Dockerfile").read_text()
    (context / "Dockerfile").write_text(right + "RUN echo a-telling-line && false\n")
    output = stack.up().failed().output
    (context / "Dockerfile").write_text(right)
    assert "a-telling-line" in output
    assert "returned a non-zero code: 1" in output


def test_buildkit_builds_too(built: tuple[Stack, list[Entry], Path], look: Look, module_unique: str) -> None:
    stack, entries, _ = built
    build = {key: value for key, value in entries[0]["props"]["build"].items() if key != "builder_version"}
    stack.declare(
        {**entries[0], "props": {**entries[0]["props"], "build": {**build, "args": {"WORD": "kit"}}}}, entries[1]
    )
    stack.up().ok()
    assert printed(look(f"{module_unique}-c"), "cat /word") == "kit\n"


def test_a_missing_dockerfile_is_named(built: tuple[Stack, list[Entry], Path]) -> None:
    """With the place that was looked at, and the one that was probably meant."""
    stack, entries, _ = built
    build = {"context": "context", "dockerfile": "Dockerfile"}
    stack.declare({**entries[0], "props": {**entries[0]["props"], "build": build}}, entries[1])
    output = stack.run("preview").failed().output
    assert "could not open dockerfile at relative path" in output
    assert "context/Dockerfile" in output
