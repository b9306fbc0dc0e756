"""The scripts that find which images are in use, remove old tags and collect garbage, on a volume with stand-ins."""

import hashlib
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from components.kubernetes import collection, retention
from components.settings.kubernetes import KeepSettings
from tests.support.programs import script as program

KEEP = KeepSettings(last_tags=2, days=30)
PARTS = [f"sha256:{'c' * 64}", f"sha256:{'d' * 64}"]
NOBODY = "registry.k8s.io/pause:3.10"


class Volume:
    """A registry's volume of one repository, as distribution lays it out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = folder / "var/lib/registry/docker/registry/v2"
        self.manifests = self.registry / "repositories/team/app/_manifests"

    def put(self, content: str, tag: str | None = None, days: float = 0) -> str:
        """Push a manifest, under a tag or without one, so many days ago; give its digest."""
        digest = hashlib.sha256(content.encode()).hexdigest()
        files = {self.blob(digest): content, self.manifests / f"revisions/sha256/{digest}/link": f"sha256:{digest}"}
        if tag:
            files |= {self.link(tag): f"sha256:{digest}"}
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            os.utime(path, (time.time() - days * 86400,) * 2)
        return f"sha256:{digest}"

    def link(self, tag: str) -> Path:
        return self.manifests / "tags" / tag / "current" / "link"

    def blob(self, digest: str) -> Path:
        return self.registry / "blobs/sha256" / digest[:2] / digest / "data"

    def tags(self) -> set[str]:
        return {path.name for path in (self.manifests / "tags").iterdir()}

    def collect(
        self, *used: str, asked: str | None = None, keep: KeepSettings | None = KEEP, does: str = "", status: int = 0
    ) -> str:
        """Run the init container's script with a registry that does this; give what it has ever been called with."""
        (self.folder / "used").write_text(f"{int(time.time()) if asked is None else asked} {' '.join(used)} ")
        common: dict[str, Any] = {"volume_mounts": []}
        moved = {"DATA": f"{self.folder}/var/lib/registry", "USED_FILE": f"{self.folder}/used"}
        made, called = collection.container(common, ["--delete-untagged"], keep), self.folder / "called"
        self.said = run(self.folder, made, {"registry": f'echo "$@" >> {called}\n{does}'}, status, **moved)
        return called.read_text() if called.exists() else ""


def run(folder: Path, container: Any, programs: dict[str, str], status: int = 0, **environment: str) -> str:
    """Run a container's script, with these programs in its path and its folders in this one; give what it says."""
    for name in ("tmp", "found"):
        (folder / name).mkdir(exist_ok=True)
    for name, does in programs.items():
        program(folder / "bin" / name, does)
    script = container["command"][-1]
    for path in ("/tmp/", "/found/", "/var/lib/registry"):
        script = script.replace(path, f"{folder}{path}")
    variables = {each["name"]: each["value"] for each in container["env"]}
    env = {**variables, "PATH": f"{folder}/bin:{os.environ['PATH']}", **environment}
    words = ["/bin/sh", "-uc", script]
    done = subprocess.run(words, env=env, stdout=subprocess.PIPE, text=True, check=False, start_new_session=True)
    assert done.returncode == status
    return done.stdout


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    """Give a volume with a tag that is old, and two that were pushed later."""
    made = Volume(tmp_path)
    made.put(" ".join(PARTS), "old", 90)
    made.put("later", "later", 60)
    made.put("last", "last")
    return made


ALL = {"old", "later", "last"}
COLLECTED = "garbage-collect --delete-untagged /etc/distribution/config.yml\n"
NOT_UNTAGGED = "garbage-collect /etc/distribution/config.yml\n"


def test_a_registry_without_images_has_nothing_to_collect(tmp_path: Path) -> None:
    assert not Volume(tmp_path).collect(keep=None)


@pytest.mark.parametrize(("does", "status"), [("exit 0", 0), ("exit 1", 0), ("kill -9 0", -9)])
def test_a_pod_moved_twice_in_a_night_collects_once_and_a_failure_stops_nothing(
    volume: Volume, does: str, status: int
) -> None:
    assert volume.collect(keep=None, does=does, status=status) == COLLECTED
    assert volume.collect(keep=None) == COLLECTED


def test_a_volume_that_takes_no_file_more_is_collected_all_the_same(volume: Volume) -> None:
    stamp = volume.registry.parents[2] / ".collected"
    stamp.symlink_to("nowhere/at-all")  # `touch` fails on it, for root too
    os.utime(stamp, (1, 1), follow_symlinks=False)
    assert volume.collect(keep=None) == COLLECTED


def test_of_what_a_collection_says_the_end_is_kept_and_no_file_grows_with_it(volume: Volume) -> None:
    volume.collect(keep=None, does="seq 100000")
    assert volume.said.split() == ["99996", "99997", "99998", "99999", "100000"]
    assert ">" not in collection.SCRIPT.replace("2>&1", "").replace("2>/dev/null", "")


def test_a_tag_that_is_neither_among_the_newest_nor_young_goes(volume: Volume) -> None:
    volume.put("young", "young", 29)
    assert volume.collect(NOBODY, f"localhost:30500/other/app:old@sha256:{'0' * 64}") == COLLECTED
    assert volume.tags() == {"last", "young"}


def test_tags_that_name_an_image_do_not_count_and_stay_as_long_as_the_image(volume: Volume) -> None:
    attached = {}
    for tag in ("old", "later", "last"):
        named = volume.link(tag).read_text().replace(":", "-")
        attached[tag] = {f"{named}{suffix}" for suffix in ("", ".sig", ".att", ".sbom")}
        for each in attached[tag]:
            volume.put(each, each, 50)
    every = set[str]().union(*attached.values())
    assert volume.collect(NOBODY) == COLLECTED
    assert volume.tags() == {"later", "last"} | every
    # What the registry does with an image without a tag, and what a client's DELETE leaves of one.
    [digest] = {tag[7:71] for tag in attached["old"]}
    (volume.manifests / f"revisions/sha256/{digest}/link").unlink()
    newest = f"sha256-{digest}.att"
    volume.put(newest, newest, 29)
    volume.collect(NOBODY)
    assert volume.tags() == {"later", "last", newest} | attached["later"] | attached["last"]


@pytest.mark.parametrize("tag", [f"sha256-{'e' * 63}.sig", f"sha256-{'E' * 64}", f"sha512-{'e' * 64}", "its own"])
def test_a_tag_that_names_no_other_image_counts(volume: Volume, tag: str) -> None:
    digest = hashlib.sha256(b"newest").hexdigest()
    tag = tag.replace("its own", f"sha256-{digest}")
    volume.put("newest", tag)
    assert volume.collect(NOBODY) == COLLECTED
    assert volume.tags() == {"last", tag}


HOSTS = ("registry.ci.svc:5000/team/app", "localhost:30500/other")


@pytest.mark.parametrize(
    "used", ["team/app:old", f"{HOSTS[0]}:old", *(f"{HOSTS[0]}@{part}" for part in PARTS), f"{HOSTS[1]}@{{digest}}"]
)
def test_what_is_used_stays_by_its_tag_its_digest_its_configuration_or_the_image_of_one_platform(
    volume: Volume, used: str
) -> None:
    assert volume.collect(NOBODY, used.format(digest=volume.link("old").read_text())) == COLLECTED
    assert volume.tags() == ALL


def test_an_image_that_is_used_but_has_no_tag_gets_one(volume: Volume) -> None:
    digest = volume.put("moved away from")
    assert volume.collect(f"localhost:30500/team/app@{digest}") == COLLECTED
    assert volume.tags() == {"later", "last", tag := f"build-used-{digest[7:19]}"}
    assert volume.link(tag).read_text() == digest
    assert [path.name for path in volume.link(tag).parent.iterdir()] == ["link"]


def test_where_such_a_tag_cannot_be_written_images_without_a_tag_are_not_collected(volume: Volume) -> None:
    digest = volume.put("moved away from")
    (volume.manifests / f"tags/build-used-{digest[7:19]}").write_text("in the way")
    assert volume.collect(digest) == NOT_UNTAGGED


@pytest.mark.parametrize(("asked", "days"), [("", 30), ("soon", 30), ("1", 30), ("99999999999", 30), (None, "x y")])
def test_nothing_is_removed_or_collected_if_it_was_not_asked_just_now_what_is_used_or_the_script_breaks(
    volume: Volume, asked: str | None, days: Any
) -> None:
    assert not volume.collect(NOBODY, asked=asked, keep=KEEP.model_copy(update={"days": days}))
    assert volume.tags() == ALL


@pytest.mark.parametrize("wrong", ["no manifest", "damaged manifest", "odd name"])
def test_a_tag_that_cannot_be_read_as_it_should_be_stays(volume: Volume, wrong: str) -> None:
    link = volume.link("old")
    manifest = volume.blob(link.read_text()[7:])
    spoil: Any = {
        "no manifest": manifest.unlink,
        "damaged manifest": lambda: manifest.write_text("damaged"),
        "odd name": lambda: link.parents[1].rename(link.parents[2] / "old one"),
    }
    spoil[wrong]()
    assert volume.collect(NOBODY) == COLLECTED
    assert len(volume.tags()) == 3


SPEC = {"containers": [{"image": "localhost:30500/app"}], "volumes": [{"image": {"reference": "data:1"}}]}
STATUS = {"containerStatuses": [{"image": 'odd"name', "imageID": f"r/app@sha256:{'a' * 64}"}]}
PODS = json.dumps({"kind": "PodList", "items": [{"spec": SPEC, "status": STATUS}]}, indent=2)
DATA = {"website": f"r/website@sha256:{'b' * 64}"}
NAMED = json.dumps({"kind": "ConfigMapList", "items": [{"data": DATA}]}, indent=2)


def asked(folder: Path, pods: str, named: str) -> Any:
    """Run the script that asks the API server, which answers this; give the patch that it writes."""
    answers = {"pods": pods, "configmaps": named}
    answer = "".join(f"case $4 in */{name}*) cat > $3 <<'END'\n{text}\nEND\nesac\n" for name, text in answers.items())
    [_, asking, _] = retention.asking("kubectl", "registry")
    run(folder, asking, {"wget": answer, "sleep": "true"})
    return json.loads((folder / "found/patch").read_text())


def test_what_pods_run_and_stacks_name_is_noted_with_the_time(tmp_path: Path) -> None:
    time_of, *used = asked(tmp_path, PODS, NAMED)["data"]["used"].split()
    assert abs(int(time_of) - time.time()) < 60
    assert set(used) == {"localhost:30500/app:latest", "data:1", DATA["website"], f"r/app@sha256:{'a' * 64}"}


@pytest.mark.parametrize("answers", [(PODS[:-3], NAMED), (PODS, NAMED[:-3]), (NAMED, NAMED), (PODS, PODS)])
def test_an_answer_that_is_cut_off_or_of_another_kind_notes_nothing(tmp_path: Path, answers: tuple[str, str]) -> None:
    assert asked(tmp_path, *answers) == {}
