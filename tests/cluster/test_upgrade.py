"""An upgrade from the last release in a real cluster: its stack goes on with its images."""

from typing import Any

from tests.support import release
from tests.support.cluster import Stack, inline

HELLO = {"name": "hello", "context": inline('FROM busybox:1\nCMD ["echo", "hello"]\n')}


def claims(stack: Stack) -> dict[str, str]:
    found: Any = stack.core.list_namespaced_persistent_volume_claim(stack.namespace)
    return {claim.metadata.name: claim.metadata.uid for claim in found.items}


def test_the_present_program_takes_over_what_the_last_release_deployed(stack: Stack) -> None:
    made = stack.deployment
    stack.configure(HELLO)
    release.released(made.root)
    made.up()
    before = claims(stack), stack.digest("hello", "latest"), made.outputs()["images"]
    assert before[1] is not None

    release.present(made.root)
    kept = (":PersistentVolumeClaim::", ":Namespace::")
    assert [urn for urn in release.lost(made) if any(kind in urn for kind in kept)] == []
    made.up()
    assert claims(stack) == before[0]
    assert stack.run(before[2]["hello"]) == "hello\nSucceeded"
    assert stack.digest("hello", "latest") == before[1]
    assert made.preview().keys() <= {"same"}
