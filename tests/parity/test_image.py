"""docker.Image: built on the engine, and built again when a file of its context changes."""

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from offline.plugins.docker.image import digest
from tests.parity.support import UP, Look, Stack, container, printed

OFFICIAL_DIGEST = "e0dee252c0079ba55696c570dbff861d6e577ba05a343faf5e1ee95517ea0dc9"
DOCKERFILE_ALONE = "28ae90bda2f6ea069332c326ad65581be0fd9501aa6f27af89f3d014367144ff"
CANARY = "canary-77d0c1ab"
ARGS = {"WORD": "yes", "TOKEN": {"$secret": CANARY}}
BUILD = {"context": "context", "dockerfile": "context/Dockerfile", "args": ARGS}


@pytest.fixture(scope="module")
def built(stack: Stack, engine: docker.DockerClient, image: str, unique: str) -> Iterator[Stack]:
    """A stack with a built image and a container of it. Its context is the folder `context`."""
    context = stack.folder / "context"
    (context / "ignored").mkdir(parents=True)
    steps = (f"FROM {image}", "ARG WORD=none", "ARG TOKEN", "COPY . /app", "RUN echo $WORD > /word\n")
    (context / "Dockerfile").write_text("\n".join(steps))
    (context / "a.txt").write_text("This is a simple file.\n")
    (context / "link").symlink_to("a.txt")
    (context / "ignored" / "b.txt").write_text("1")
    (context / ".dockerignore").write_text("# not part of it\nignored\n*.md\n")
    props = {"image_name": f"{unique}-built:1", "skip_push": True, "build": BUILD}
    stack.declare(
        {"type": "Image", "name": "image", "props": props},
        container("c", "", name=f"{unique}-c", image={"$ref": ["image", "repo_digest"]}),
    )
    stack.up()
    yield stack
    stack.pulumi("destroy", "--yes", "--skip-preview")
    engine.images.remove(f"{unique}-built:1", force=True)


def test_the_image_is_built_as_declared(built: Stack, engine: docker.DockerClient, look: Look, unique: str) -> None:
    """Arguments reach the build, ignored files do not, and links stay links."""
    made = engine.images.get(f"{unique}-built:1")
    recorded = built.resources()["image"]
    assert recorded["id"] == f"{unique}-built:1"
    assert recorded["outputs"]["repoDigest"] == made.id
    found = look(f"{unique}-c")
    assert found.attrs["Image"] == made.id
    listed = printed(found, "ls /app").split()
    assert {"a.txt", "link"} <= set(listed)
    assert "ignored" not in listed
    assert printed(found, "cat /word") == "yes\n"


def test_neither_a_second_preview_nor_an_ignored_file_is_a_change(built: Stack) -> None:
    (built.folder / "context" / "ignored" / "b.txt").write_text("2")
    (built.folder / "context" / "notes.md").write_text("new")
    assert built.changes("--refresh") == {}


def test_a_secret_argument_is_in_the_state_in_cipher_only(built: Stack) -> None:
    assert CANARY not in built.exported()


def test_the_digest_of_the_context_is_the_official_one(tmp_path: Path) -> None:
    """A context's digest, as the official plugin 5.2.0 computed it."""
    files = {"Dockerfile": "FROM scratch\n", "sub/run": "x\n", "a.md": "y\n", ".dockerignore": "*.md\n"}
    (tmp_path / "sub").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755 if name == "sub/run" else 0o644)
    assert digest(tmp_path, tmp_path / "Dockerfile") == OFFICIAL_DIGEST
    (tmp_path / ".dockerignore").write_text("*\n")
    assert digest(tmp_path, tmp_path / "Dockerfile") == DOCKERFILE_ALONE


def test_a_changed_file_or_mode_builds_again_and_replaces_the_container(built: Stack, look: Look, unique: str) -> None:
    """The preview sees it, with the container's image unknown until it is built."""
    before = look(f"{unique}-c").attrs["Image"]
    changed = built.folder / "context" / "a.txt"
    changed.write_text("Another simple file.\n")
    assert built.changes() == {"image": "update", "c": "replace"}
    built.up()
    after = look(f"{unique}-c")
    assert after.attrs["Image"] != before
    assert printed(after, "cat /app/a.txt") == "Another simple file.\n"
    changed.chmod(0o755)
    assert built.changes() == {"image": "update", "c": "replace"}


def test_a_failing_build_shows_what_it_printed(built: Stack) -> None:
    """The error carries the step that failed."""
    dockerfile = built.folder / "context" / "Dockerfile"
    right = dockerfile.read_text()
    dockerfile.write_text(right + "RUN echo a-telling-line && false\n")
    output = built.fails(*UP)
    dockerfile.write_text(right)
    assert output.count("a-telling-line") > 1
