"""The modules that the lab's programs are built from, and the images that they are put into."""

import json
import re
import tarfile
from pathlib import Path

import pytest

from lab import images, kueue, programs
from lab.lab import Lab
from lab.programs import Module
from tests.manifests.programs import TOOLS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("module", [*programs.ALL, kueue.MODULE, *TOOLS], ids=lambda module: module.name)
def test_every_module_pins_its_version_and_the_sums_of_all_it_is_built_from(module: Module) -> None:
    assert re.fullmatch(r"v\d+\.\d+\.\d+", module.version)
    assert f"{module.pinned} {module.version} h1:" in (module.folder / "go.sum").read_text()


def test_every_part_of_kubernetes_is_of_its_one_version_and_knows_it() -> None:
    version = programs.KUBERNETES.version
    text = (programs.KUBERNETES.folder / "go.mod").read_text()
    assert set(re.findall(r"=> k8s\.io/\S+ (\S+)", text)) == {version.replace("v1.", "v0.", 1)}
    flags = " ".join(programs.KUBERNETES.flags())
    assert f"-X k8s.io/component-base/version.gitVersion={version}" in flags
    assert "version.gitMajor=1 " in flags


def test_what_etcd_and_kubernetes_and_what_talks_to_it_share_has_one_version_and_so_is_compiled_once() -> None:
    pins: dict[str, set[str]] = {}
    for name in ("etcd", "kubernetes", "coredns", "storage", "policy"):
        for found, version in re.findall(
            r"^\s(\S+) (v\S+)", (programs.MODULES / name / "go.mod").read_text(), re.MULTILINE
        ):
            pins.setdefault(found, set()).add(version)
    assert {found: versions for found, versions in pins.items() if len(versions) > 1} == {}
    assert len(pins) > 150


def test_another_pin_makes_another_entry_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "etcd"
    folder.mkdir()
    for name in ("go.mod", "go.sum"):
        (folder / name).write_bytes((programs.ETCD.folder / name).read_bytes())
    monkeypatch.setattr(programs, "MODULES", tmp_path)
    before = programs.ETCD.key()
    (folder / "go.sum").write_text((folder / "go.sum").read_text() + "\n")
    assert programs.ETCD.key() != before


def test_the_stacks_for_the_lab_name_images_that_it_has() -> None:
    texts = [path.read_text() for path in ROOT.glob("**/stacks/Pulumi.*.yaml")]
    named = {name for text in texts for name in re.findall(r"ci-lab/\S+", text)}
    assert len(named) > 3
    assert named <= set(Lab.at().images.values())


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, images.Image]:
    built = {name: tmp_path / name for module in programs.ALL for name in module.programs}
    for name, path in built.items():
        path.write_text(name)
    wanted = images.all_of(built)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return {image.name.rpartition("/")[2].partition(":")[0]: image for image in wanted}


def test_builders_and_registry_are_laid_out_as_the_published_images(made: dict[str, images.Image]) -> None:
    entries = {name: {entry.path: entry for entry in image.entries} for name, image in made.items()}
    assert entries["kaniko"]["/kaniko"].mode == 0o777
    assert not any(path.startswith("/bin") for path in entries["kaniko"])
    assert made["kaniko"].config["Entrypoint"] == ["/kaniko/executor"]
    assert made["buildkit"].config["User"] == "1000:1000"
    # A setuid one can't write another user's map where it lacks CAP_SYS_ADMIN.
    for name, capability in {"newuidmap": 7, "newgidmap": 6}.items():
        found = entries["buildkit"][f"/usr/bin/{name}"]
        assert (found.capability, found.mode) == (capability, 0o755)
    assert "insecureAcceptAnything" in str(entries["buildah"]["/etc/containers/policy.json"].content)
    assert entries["buildah"]["/var/tmp"].mode == 0o1777
    assert made["registry"].config["Entrypoint"] == ["/entrypoint.sh"]
    assert {"/bin/registry", "/etc/distribution/config.yml"} <= set(entries["registry"])


def test_an_archive_names_its_image_and_follows_its_program(made: dict[str, images.Image], tmp_path: Path) -> None:
    image = made["coredns"]
    archive = images.archives([image])[image.name]
    assert images.archives([image])[image.name] == archive
    with tarfile.open(archive) as tar:
        manifest = tar.extractfile("manifest.json")
        assert manifest is not None
        (named,) = json.load(manifest)
    assert named["RepoTags"] == [image.name]
    (tmp_path / "coredns").write_text("another")
    assert images.archives([image])[image.name] != archive
