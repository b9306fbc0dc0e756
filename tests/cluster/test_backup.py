"""`backup` and `restore` on a real cluster: a registry's images go to namespaces that lack them, also after kills."""

import shutil
from pathlib import Path

from tests.support.cluster import inline
from tests.support.operated import Operated
from tests.support.waiting import eventually

HELPER, SERVER = "registry-backup", "registry-server-0"
NOISE = "head -c 100000000 /dev/urandom > /var/lib/registry/noise"
HASHES = "cd /var/lib/registry && find docker noise -type f -exec sha256sum {} + | sort"
HELLO = {
    "name": "hello",
    "context": inline("FROM busybox:1\nRUN head -c 1000 /dev/urandom > /noise\n"),
    "cache": {"enabled": False},
}


def lose_cluster(stack: Operated) -> None:
    stack.remove_namespaces()
    gone = {stack.namespace, stack.builds}
    eventually(lambda: not gone & {each.metadata.name for each in stack.core.list_namespace().items}, seconds=90)


def ready(stack: Operated, name: str) -> bool:
    """Whether a pod of the registry's namespace is ready."""
    found = [each for each in stack.core.list_namespaced_pod(stack.namespace).items if each.metadata.name == name]
    return any((each.type, each.status) == ("Ready", "True") for pod in found for each in pod.status.conditions or ())


def inside(stack: Operated, script: str) -> str:
    eventually(lambda: ready(stack, SERVER), seconds=60)
    return stack.execute(SERVER, stack.namespace, script, container="registry")


def image(said: str) -> str:
    [found] = [line.split()[-1] for line in said.splitlines() if line.startswith("  image hello:")]
    return found


def test_the_images_of_a_lost_cluster_come_back_with_their_digests_and_nothing_is_built_again(
    operated: Operated, tmp_path: Path
) -> None:
    file, cut = tmp_path / "ci.zip", tmp_path / "cut.zip"
    stack, verbs = operated, operated.verbs
    stack.configure(HELLO)
    built = image(verbs.run("up"))
    inside(stack, NOISE)
    before = inside(stack, HASHES), verbs.run("password")

    verbs.killed_when(lambda: ready(stack, HELPER), "backup", "--file", str(file))
    assert not file.exists()
    assert "which a backup had stopped" in verbs.run("up")
    assert (inside(stack, HASHES), ready(stack, HELPER)) == (before[0], False)
    verbs.run("backup", "--file", str(file))
    assert inside(stack, HASHES) == before[0]
    assert "is not from this archive" in verbs.run("restore", "--file", str(file), status=1)

    lose_cluster(stack)
    shutil.rmtree(verbs.root / ".local/state")
    cut.write_bytes(file.read_bytes()[:-20_000])
    assert "damaged" in verbs.run("restore", "--file", str(cut), status=1)
    assert stack.namespace not in {each.metadata.name for each in stack.core.list_namespace().items}

    # The claim and its mark are there before the archive is compared, which takes minutes.
    claims = stack.core.list_namespaced_persistent_volume_claim
    verbs.killed_when(lambda: claims(stack.namespace).items, "restore", "--file", str(file))
    assert HELPER not in {each.metadata.name for each in stack.core.list_namespaced_pod(stack.namespace).items}
    assert "unfinished restore" in verbs.run("up", status=1)
    verbs.killed_when(lambda: ready(stack, HELPER), "restore", "--file", str(file))
    # What somebody does who does not know it.
    stack.core.delete_namespaced_pod(HELPER, stack.namespace, grace_period_seconds=0)
    assert "unfinished restore" in verbs.run("up", status=1)
    assert not ready(stack, SERVER)
    assert image(verbs.run("restore", "--file", str(file))) == built
    assert (inside(stack, HASHES), verbs.run("password")) == before
    assert stack.core.list_namespaced_pod(stack.builds).items == [], "it was built once more"
    digest = built.rpartition("@")[2]
    assert stack.digest("hello", digest, password=before[1].strip()) == digest
    again = verbs.run("restore", "--file", str(file))
    assert "stays as it is now" in again
    assert "Nothing changed" in again
