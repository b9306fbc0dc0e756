"""Contexts that builds fetch from elsewhere, over TLS with a company's own authority, and a registry with TLS."""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import servers
from tests.support.cluster import Stack
from tests.support.git import git

TOKEN = "glpat-0123456789abcdef"
DOCKERFILE = 'FROM alpine:latest\nCOPY a.txt /a.txt\nCMD ["cat", "/a.txt"]\n'


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a repository with two commits; the first has the tag v1, and its files are in a folder."""
    folder = tmp_path_factory.mktemp("git") / "team" / "app.git"
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    inside = folder / "images" / "app"
    inside.mkdir(parents=True)
    (inside / "Dockerfile").write_text(DOCKERFILE)
    for number in (1, 2):
        (inside / "a.txt").write_text(f"commit {number}\n")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", f"commit {number}")
        git(folder, "tag", f"v{number}")
    return folder


@pytest.fixture(scope="module")
def deployed(
    stack: Stack, lab: Any, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Stack, dict[str, str]]]:
    """Give the stack with a build of each of these contexts; and what each image prints."""
    files = tmp_path_factory.mktemp("files")
    (files / "a.txt").write_text("out of an archive\n")
    (files / "Dockerfile").write_text(DOCKERFILE)
    with tarfile.open(files / "context.tar.gz", "w:gz") as tar:
        for name in ("a.txt", "Dockerfile"):
            tar.add(files / name, name)
    served_from = lab.certificate("contexts", lab.host_address)
    inside = [f"{name}.{stack.namespace}.svc" for name in ("registry", "mirror")]
    certificate, key = lab.certificate("registry", *inside, "localhost", lab.node_address)
    lab.trust(f"localhost:{stack.node_port}")
    login = ("oauth2", TOKEN)
    with (
        servers.git(repository.parent.parent, lab.host_address, login=login, certificate=served_from) as gits,
        servers.files(files, lab.host_address, served_from) as archives,
    ):
        source = {"repository": f"{gits}/team/app.git", "credentials": "gitToken", "directory": "images/app"}
        builds: list[dict[str, Any]] = [
            {"name": "branch", "context": {"git": {**source, "ref": "main"}}},
            {"name": "tag", "context": {"git": {**source, "ref": "v1"}}},
            {"name": "commit", "context": {"git": {**source, "ref": git(repository, "rev-parse", "v1")}}},
            {"name": "archive", "context": {"archive": f"{archives}/context.tar.gz"}},
        ]
        builds += [
            {**build, "name": f"{build['name']}-{builder}", "builder": builder}
            for build in (builds[1], builds[3])
            for builder in ("buildkit", "buildah")
        ]
        tls = {"tls": {"certificateFile": str(certificate)}, "plainHttp": None}
        stack.deployment.secret("gitToken", TOKEN)
        stack.deployment.secret("registryTlsKey", key.read_text())
        cluster = {"trustedCaFile": str(lab.ca), "buildsPodSecurity": "privileged"}
        stack.configure(*builds, registry=tls, kubernetes=cluster)
        stack.deployment.up()
        yield stack, stack.deployment.outputs()["images"]


@pytest.mark.parametrize(
    ("build", "prints"),
    [
        ("branch", "commit 2"),
        ("tag", "commit 1"),
        ("commit", "commit 1"),
        ("archive", "out of an archive"),
        ("tag-buildkit", "commit 1"),
        ("archive-buildkit", "out of an archive"),
        ("tag-buildah", "commit 1"),
        ("archive-buildah", "out of an archive"),
    ],
)
def test_contexts_are_built_and_run_over_tls(deployed: tuple[Stack, dict[str, str]], build: str, prints: str) -> None:
    stack, images = deployed
    assert stack.run(images[build]) == f"{prints}\nSucceeded"


def test_the_token_is_in_no_pod_and_no_log(deployed: tuple[Stack, dict[str, str]]) -> None:
    stack, _ = deployed
    assert TOKEN not in str(stack.core.list_namespaced_pod(stack.builds))
    assert TOKEN not in "".join(stack.deployment.said)
    assert TOKEN not in stack.deployment.state()
    for name in stack.jobs():
        assert TOKEN not in stack.log(name)
