"""`backup` and `restore` on a real engine, with `access: dind`: what a stack keeps goes to a host that lacks it."""

import base64
import hashlib
import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest

from components import labels
from ops import archive
from tests.support import archives, containers
from tests.support.names import PREFIX
from tests.support.verbs import Verbs, clone

NAME = f"{PREFIX}-backup"
ENGINE, HOME = f"{NAME}-engine", f"{NAME}-home"
IMAGES, THEIRS = f"{ENGINE}-images", f"{NAME}-theirs"
FILL = """
cd /var/jenkins_home
mkdir -p jobs/website/builds/7 secrets
echo 8 > jobs/website/nextBuildNumber
ln -s builds/7 jobs/website/last
echo key > secrets/master.key; chmod 700 secrets; chmod 600 secrets/master.key
head -c 100000000 /dev/urandom > jobs/website/builds/7/log
mkdir jobs/website/empty; touch -t 202001020304 jobs/website/old
"""


@pytest.fixture(scope="module")
def verbs(engine: docker.DockerClient, stand_in: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verbs]:
    """Bring a stack up whose jobs have left builds, secrets, and an image in the engine beside Jenkins.

    In Jenkins' place the stand-in runs, which writes nothing to the home while it is compared.
    """
    made = clone(tmp_path_factory.mktemp("backup"), "dind")
    made.edit(jenkins={"image": stand_in})
    with made.deployed(NAME, IMAGES, docker={"dind": {"containerName": ENGINE, "memoryMib": 1024}}):
        containers.inside(NAME, "sh", "-ec", FILL, user="1000")
        made.run("sample")
        try:
            yield made
        finally:
            for container in engine.containers.list(all=True, filters={"volume": THEIRS}):
                container.remove()
                engine.volumes.get(THEIRS).remove()


def kept(engine: docker.DockerClient) -> dict[str, tuple[Any, ...]]:
    """The home's jobs and secrets: owner, mode, time, link and content of each."""
    chunks = engine.containers.get(NAME).get_archive("/var/jenkins_home")[0]
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as packed:
        return {
            each.name: (each.uid, each.gid, each.mode, each.mtime, each.linkname, _digest(packed.extractfile(each)))
            for each in packed
            if {"jobs", "secrets"} & set(each.name.split("/")) and not each.islnk()
        }


def _digest(file: Any) -> str:
    return hashlib.sha256(file.read()).hexdigest() if file else ""


def damaged(archive: bytes) -> tuple[bytes, bytes]:
    """Give an archive without its end, and one with another bit in the middle of its largest part."""
    middle = len(archive) // 2
    return archive[:-20_000], archive[:middle] + bytes([archive[middle] ^ 1]) + archive[middle + 1 :]


def images() -> set[str]:
    return set(containers.inside(ENGINE, "docker", "image", "ls", "--no-trunc", "-q").split())


def there(engine: docker.DockerClient, name: str) -> Any:
    # Not by the SDK's `list`: it inspects each, and the engine lets it wait until a copy from the container is over.
    return engine.api.containers(all=True, filters={"name": f"^/?{name}$"})


def helpers(engine: docker.DockerClient) -> Any:
    """List the containers by which a backup or a restore has the home."""
    return engine.api.containers(all=True, filters={"label": labels.HELPER, "volume": HOME})


def foreign(stack: str, volume: str, container: str) -> list[dict[str, Any]]:
    """Give entries of a state that would make an update remove a volume and a container of somebody else's."""
    urn = f"urn:pulumi:{stack}::ci::"
    host = {
        "urn": f"{urn}pulumi:providers:docker::theirs",
        "type": "pulumi:providers:docker",
        "custom": True,
        "id": "i",
    }
    kinds = {"docker:index/volume:Volume": volume, "docker:index/container:Container": container}
    of = {"custom": True, "provider": f"{host['urn']}::i", "inputs": {"name": "theirs"}}
    return [host, *({**of, "urn": f"{urn}{kind}::theirs", "type": kind, "id": id_} for kind, id_ in kinds.items())]


def pickled(stack: str, ran: Path) -> dict[str, Any]:
    """Give an entry of a state whose provider is code: the pickle of a call that makes a file."""
    kind = "pulumi-python:dynamic:Resource"
    code = base64.b64encode(f"cbuiltins\nopen\n(V{ran}\nVw\ntR.".encode()).decode()
    return {"urn": f"urn:pulumi:{stack}::ci::{kind}::x", "type": kind, "custom": True, "id": "x",
            "inputs": {"__provider": code}, "outputs": {"__provider": code}}  # fmt: skip


def test_what_a_stack_keeps_goes_to_a_host_that_has_nothing_of_it_also_after_kills(
    verbs: Verbs, engine: docker.DockerClient, tmp_path: Path
) -> None:
    file, cut = tmp_path / "ci.zip", tmp_path / "cut.zip"
    before = kept(engine), images(), verbs.run("password")
    assert len(before[0]) > 8
    assert before[1]

    # A job's container that pretends to be a backup's: neither it nor its image goes.
    theirs = engine.containers.create(
        "ci-offline-controller:1", ["never"], name=f"{HOME}-backup", labels={labels.HELPER: f"ci/{verbs.stack}"},
        volumes=[f"{HOME}:/data"],
    )  # fmt: skip
    verbs.run("backup", "--file", str(tmp_path / "beside.zip"))
    assert engine.images.get(engine.containers.get(str(theirs.id)).attrs["Image"]).tags
    theirs.remove()
    (tmp_path / "beside.zip").unlink()
    verbs.killed_when(lambda: helpers(engine), "backup", "--file", str(file))
    assert not file.exists()
    verbs.run("up")
    said = verbs.run("backup", "--file", str(file))
    assert f"{verbs.root}/.local/passphrase" in said
    assert [engine.containers.get(each).status for each in (NAME, ENGINE)] == ["running"] * 2
    assert (kept(engine), [each.name for each in tmp_path.iterdir()]) == (before[0], ["ci.zip"])
    assert "is there, and is not from this archive" in verbs.run("restore", "--file", str(file), status=1)

    verbs.run("down")
    for volume in (HOME, IMAGES):
        engine.volumes.get(volume).remove()
    shutil.rmtree(verbs.root / ".local/state")
    passphrase = verbs.root / ".local/passphrase"
    right = passphrase.read_text()
    passphrase.write_text("another")
    assert "another passphrase" in verbs.run("restore", "--file", str(file), status=1)
    passphrase.write_text(right)
    for data in damaged(file.read_bytes()):
        cut.write_bytes(data)
        assert "damaged" in verbs.run("restore", "--file", str(cut), status=1)
    assert not (verbs.root / ".local/state").exists()
    with pytest.raises(docker.errors.NotFound):
        engine.volumes.get(HOME)

    # The volume and its mark are there before the archive is compared, which takes minutes.
    verbs.killed_when(lambda: engine.volumes.list(filters={"name": HOME}), "restore", "--file", str(file))
    assert not helpers(engine)
    assert "unfinished restore" in verbs.run("up", status=None)
    verbs.killed_when(lambda: helpers(engine), "restore", "--file", str(file))
    [helper] = helpers(engine)
    engine.containers.get(helper["Id"]).remove()  # what somebody does who does not know what it is
    assert "unfinished restore" in verbs.run("up", status=None)
    plain = f'eval "$(.venv/bin/python -m ops env -s {verbs.stack})" && pulumi up --yes --stack {verbs.stack}'
    done = subprocess.run(["bash", "-c", plain], check=False, cwd=verbs.root, env=verbs.env, capture_output=True)
    assert b"unfinished restore" in done.stdout + done.stderr
    assert not there(engine, NAME)
    verbs.run("restore", "--file", str(file))
    assert (kept(engine), images(), verbs.run("password")) == before
    assert not helpers(engine)
    assert "Nothing changed" in verbs.run("up")

    containers.inside(NAME, "sh", "-c", "echo 9 > /var/jenkins_home/jobs/website/nextBuildNumber")
    assert "stays as it is now" in verbs.run("restore", "--file", str(file))
    assert containers.inside(NAME, "cat", "/var/jenkins_home/jobs/website/nextBuildNumber") == "9\n"


def test_a_changed_archive_is_refused_and_one_without_a_signature_removes_nothing_of_others(
    verbs: Verbs, engine: docker.DockerClient, tmp_path: Path
) -> None:
    file, changed, ran = tmp_path / "ci.zip", tmp_path / "changed.zip", tmp_path / "ran"
    theirs = str(engine.containers.create("ci-offline-controller:1", volumes=[f"{THEIRS}:/data"]).id)
    verbs.run("backup", "--file", str(file))
    before = kept(engine), images(), verbs.run("password")
    verbs.run("down")
    for volume in (HOME, IMAGES):
        engine.volumes.get(volume).remove()
    shutil.rmtree(verbs.root / ".local/state")
    removing, running = foreign(verbs.stack, THEIRS, theirs), [pickled(verbs.stack, ran)]
    for entries, form, words, refusal in (
        (removing, archive.FORMAT, (), "changed after it was written"),
        (running, archive.FORMAT, ("--unsigned",), "changed after it was written"),
        (removing, archive.UNSIGNED, (), "has no signature"),
        (running, archive.UNSIGNED, ("--unsigned",), "does not make"),
    ):
        shutil.copy(file, changed)
        archives.with_resources(changed, *entries, format=form)
        assert refusal in verbs.run("restore", "--file", str(changed), *words, status=1)
    assert not (verbs.root / ".local/state").exists()
    archives.with_resources(file, *removing, format=archive.UNSIGNED)
    verbs.run("restore", "--file", str(file), "--unsigned")
    assert (kept(engine), images(), verbs.run("password")) == before
    assert THEIRS in {each["Name"] for each in engine.containers.get(theirs).attrs["Mounts"]}
    assert not ran.exists()
