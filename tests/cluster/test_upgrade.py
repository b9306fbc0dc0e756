"""An upgrade from the last release in a real cluster: its stack goes on with its images."""

from typing import Any

from tests.support import release
from tests.support.cluster import Stack, inline

HELLO = {"name": "hello", "context": inline('FROM busybox:1\nCMD ["echo", "hello"]\n')}


SCRIPTED = {"name": "scripted", "builder": "buildah", "context": inline("FROM scratch\nCOPY Dockerfile /\n")}
"""Its pod has a script, and each release another one."""


def claims(stack: Stack) -> dict[str, str]:
    found: Any = stack.core.list_namespaced_persistent_volume_claim(stack.namespace)
    return {claim.metadata.name: claim.metadata.uid for claim in found.items}


def test_the_present_program_takes_over_what_the_last_release_deployed(stack: Stack) -> None:
    made = stack.deployment
    stack.configure(HELLO, SCRIPTED)
    release.released(made.root)
    made.up()
    jobs = {name: job.metadata.uid for name, job in stack.jobs().items()}
    before = claims(stack), stack.digest("hello", "latest"), made.outputs()["images"]
    assert before[1] is not None

    release.present(made.root)
    kept = (":PersistentVolumeClaim::", ":Namespace::", ":Job::")
    assert [urn for urn in release.lost(made) if any(kind in urn for kind in kept)] == []
    made.up()
    assert claims(stack) == before[0]
    assert {name: job.metadata.uid for name, job in stack.jobs().items()} == jobs
    assert stack.run(before[2]["hello"]) == "hello\nSucceeded"
    assert stack.digest("hello", "latest") == before[1]
    assert made.preview().keys() <= {"same"}
