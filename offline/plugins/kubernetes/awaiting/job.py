"""When a Job is done, and why one failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..objects import Kind, Object, full_name, owned_by, pluck, uid_of
from ..watching import Event, Key
from . import pod
from .base import POD, Awaiter, read_owned

if TYPE_CHECKING:
    from collections.abc import Mapping


def progress(job: Object) -> tuple[bool, str, str]:
    """Give whether a Job has succeeded, what is waited for, and why it failed ("" unless it did)."""
    name = full_name(job)
    status = job.get("status") or {}
    if not status.get("startTime"):
        return False, f'Waiting for Job "{name}" to start', ""
    counts = " | ".join(f"{word}: {status.get(word.lower(), 0)}" for word in ("Active", "Succeeded", "Failed"))
    words = f'Waiting for Job "{name}" to succeed ({counts})'
    conditions = {one.get("type"): one for one in status.get("conditions") or () if one.get("status") == "True"}
    failed = conditions.get("Failed")
    if failed:
        # The official plugin waits on for a reason other than these two until its time is up; a Job that has
        # failed, by its pod failure policy for one, never succeeds any more.
        return False, words, f"[{failed.get('reason')}] {failed.get('message')}"
    return "Complete" in conditions, words, ""


class JobAwaiter(Awaiter):
    """A Job is ready when it is complete."""

    def __init__(self, *arguments: Any) -> None:
        """Start with nothing known."""
        super().__init__(*arguments)
        self._done = False
        self._complaints: dict[str, None] = {}

    def related(self) -> Mapping[Kind, list[Key]]:
        """Give its pods."""
        return {POD: [Key("owner", uid_of(self.scene.current))]}

    def see(self, obj: Object) -> None:
        """Look at its conditions."""
        self._done, words, failed = progress(obj)
        if failed:
            self.failure = True
            # What its pods say may be on its way still, and is what the user has to know.
            for one in read_owned(self.scene, POD, obj):
                self._see_pod(one)
            self._complaints[failed] = None
        self.scene.status.tell(words)

    def see_related(self, event: Event) -> None:
        """Look at a pod."""
        if event.change != "DELETED" and owned_by(event.object, uid_of(self.scene.current)):
            self._see_pod(event.object)

    def _see_pod(self, found: Object) -> None:
        for complaint in pod.complaints(found):
            if complaint not in self._complaints and "containers with unready status: [" in complaint:
                ended = pluck(found, "status", "phase") in ("Failed", "Succeeded")
                # That a container is not ready yet is how every Job goes; it is no warning until the Job has failed.
                if not ended and complaint.endswith("]"):
                    self._complaints[complaint] = None
                    continue
            self._complaints[complaint] = None
            self.scene.status.tell(complaint, "WARNING")

    def ready(self) -> bool:
        """Say whether it is complete."""
        return self._done

    def reasons(self) -> list[str]:
        """Give why it failed, and what its pods say."""
        return list(self._complaints)
