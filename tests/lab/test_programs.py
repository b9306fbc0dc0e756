"""The modules that the lab's programs are built from, and the images that they are put into."""

import json
import re
import tarfile
from pathlib import Path

import pytest

from lab import images, layout, programs, upstream
from lab.lab import Lab
from lab.programs import Module


@pytest.mark.parametrize("module", programs.ALL, ids=lambda module: module.name)
def test_every_module_pins_its_version_and_the_sums_of_all_it_is_built_from(module: Module) -> None:
    assert re.fullmatch(r"v\d+\.\d+\.\d+", module.version)
    assert f"{module.pinned} {module.version} h1:" in (module.folder / "go.sum").read_text()


def test_every_part_of_kubernetes_is_of_its_one_version() -> None:
    text = (programs.KUBERNETES.folder / "go.mod").read_text()
    wanted = programs.KUBERNETES.version.replace("v1.", "v0.", 1)
    assert set(re.findall(r"=> k8s\.io/\S+ (\S+)", text)) == {wanted}


def test_kubernetes_programs_know_their_version() -> None:
    flags = " ".join(programs.KUBERNETES.flags())
    assert f"-X k8s.io/component-base/version.gitVersion={programs.KUBERNETES.version}" in flags
    assert "version.gitMajor=1 " in flags


def test_another_pin_makes_another_entry_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "etcd"
    folder.mkdir()
    for name in ("go.mod", "go.sum"):
        (folder / name).write_bytes((programs.ETCD.folder / name).read_bytes())
    monkeypatch.setattr(programs, "MODULES", tmp_path)
    before = programs.ETCD.key()
    (folder / "go.sum").write_text((folder / "go.sum").read_text() + "\n")
    assert programs.ETCD.key() != before


@pytest.mark.parametrize("stack", ["lab", "buildkit", "buildah"])
def test_the_stacks_for_the_lab_name_images_that_it_has(stack: str) -> None:
    text = (Path(__file__).parents[2] / "stacks" / f"Pulumi.{stack}.yaml").read_text()
    named = set(re.findall(r"ci-lab/\S+", text))
    assert named
    assert named <= set(Lab(layout.at(None)).images.values())


@pytest.fixture
def made(tmp_path: Path) -> dict[str, images.Image]:
    built = {}
    for name in ("buildctl", "buildkitd", "coredns", "executor", "kubectl", "registry", "rootlesskit"):
        built[name] = tmp_path / name
        built[name].write_bytes(name.encode())
    versions = {
        "buildkitd": "0.32.2",
        "coredns": "1.2.3",
        "executor": "1.24.0",
        "kubectl": "1.34.4",
        "registry": "3.1.2",
    }
    return {image.name: image for image in images.all_of(built, versions)}


def test_kanikos_image_is_laid_out_as_the_published_one(made: dict[str, images.Image]) -> None:
    image = made["ci-lab/kaniko:1.24.0"]
    modes = {entry.path: entry.mode for entry in image.entries}
    assert modes["/kaniko"] == 0o777
    assert "/kaniko/ssl/certs/ca-certificates.crt" in modes
    assert not any(path.startswith("/bin") for path in modes)
    assert image.config["Entrypoint"] == ["/kaniko/executor"]
    assert "DOCKER_CONFIG=/kaniko/.docker/" in image.config["Env"]


def test_buildkits_image_is_laid_out_as_the_published_one_without_root(made: dict[str, images.Image]) -> None:
    image = made["ci-lab/buildkit:0.32.2"]
    entries = {entry.path: entry for entry in image.entries}
    assert image.config["User"] == "1000:1000"
    assert image.config["Entrypoint"] == ["rootlesskit", "buildkitd"]
    assert {"/usr/bin/buildctl", "/usr/bin/buildkitd", "/usr/bin/buildkit-runc", "/bin/sh"} <= set(entries)
    assert entries["/etc/subuid"].content == "user:100000:65536\n"
    # A setuid one writes no map of somebody else's where it lacks CAP_SYS_ADMIN.
    for name, capability in {"newuidmap": 7, "newgidmap": 6}.items():
        found = entries[f"/usr/bin/{name}"]
        assert (found.capability, found.mode) == (capability, 0o755)


def test_buildahs_image_takes_every_image_and_has_a_place_for_big_files(made: dict[str, images.Image]) -> None:
    entries = {entry.path: entry for entry in made["ci-lab/buildah:1"].entries}
    assert json.loads(entries["/etc/containers/policy.json"].content or "")["default"] == [
        {"type": "insecureAcceptAnything"}
    ]
    assert entries["/var/tmp"].mode == 0o1777


def test_the_registrys_image_takes_the_official_ones_words(made: dict[str, images.Image]) -> None:
    image = made["ci-lab/registry:3.1.2"]
    paths = {entry.path for entry in image.entries}
    assert {"/bin/registry", "/etc/distribution/config.yml"} <= paths
    assert image.config["Entrypoint"] == ["/entrypoint.sh"]
    assert "OTEL_TRACES_EXPORTER=none" in image.config["Env"]


def test_an_image_whose_program_changed_is_made_anew(
    made: dict[str, images.Image], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    image = made["ci-lab/coredns:1.2.3"]
    before = images.archives([image])[image.name]
    assert images.archives([image])[image.name] == before
    (tmp_path / "coredns").write_bytes(b"another")
    assert images.archives([image])[image.name] != before


def test_an_archive_names_its_image_and_is_read_back_byte_for_byte(
    made: dict[str, images.Image], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    image = made["ci-lab/coredns:1.2.3"]
    archive = images.archives([image])[image.name]
    config, layer = upstream.read(archive)
    with tarfile.open(archive) as tar:
        manifest = tar.extractfile("manifest.json")
        assert manifest is not None
        (named,) = json.load(manifest)
    assert named["RepoTags"] == [image.name]
    assert json.loads(config)["config"]["Entrypoint"] == ["/coredns"]
    assert b"coredns" in layer
