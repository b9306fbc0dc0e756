"""What a build's pods tell: the digest that was pushed, or why nothing was."""

from collections.abc import Callable, Sequence
from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml

from components.kubernetes import results
from components.kubernetes.builders.buildctl import CLIENT, UNUSABLE
from tests.support.kubernetes_stack import DIGEST, build, failed, settings, succeeded

OTHER = f"sha256:{'cd' * 32}"
LATE = "Job was active longer than specified deadline"
_TEXT = Path(__file__).with_name("build_ends.yaml").read_text()
ENDS = yaml.safe_load(Template(_TEXT).substitute(CLIENT=CLIENT, UNUSABLE=UNUSABLE))
DEADLINE, *_ = ENDS["remedies"]


def explain(*pods: dict[str, Any], events: Sequence[str] = (), **keys: Any) -> str:
    return results.explain(settings(builds=[build(**{"platform": "linux/arm64", **keys})]).builds[0], 3, pods, events)


def status(**status: Any) -> dict[str, Any]:
    return {"status": status}


def waiting(**reason: str) -> dict[str, Any]:
    return status(phase="Pending", containerStatuses=[{"name": "kaniko", "state": {"waiting": reason}}])


def deleted(pod: dict[str, Any]) -> dict[str, Any]:
    return {**pod, "metadata": {"deletionTimestamp": "2026-01-31T03:00:00Z"}}


def evicted(message: str) -> dict[str, Any]:
    return status(**{**failed(exitCode=2, message="cannot write")["status"], "reason": "Evicted", "message": message})


def unscheduled(**condition: str) -> dict[str, Any]:
    return status(phase="Pending", conditions=[{"type": "PodScheduled", **condition}])


MADE: dict[str, Callable[..., dict[str, Any]]] = {
    "deleted": lambda **pod: deleted(made(pod)),
    **{make.__name__: make for make in (failed, status, waiting, evicted, unscheduled)},
}


def made(pod: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Make a pod of the helper's name and its keys."""
    [(name, keys)] = pod.items()
    return MADE[name](**keys)


def test_the_digest_is_the_newest_successful_pods() -> None:
    assert results.digest([succeeded(DIGEST)]) == DIGEST
    assert results.digest([failed(message=OTHER), succeeded(DIGEST), succeeded(OTHER)]) == DIGEST
    assert results.digest([succeeded(f"{DIGEST}\n")]) == DIGEST


@pytest.mark.parametrize(
    "pods", [[], [{}], [status(phase="Pending")], [failed(message=DIGEST)], [succeeded("")], [succeeded("sha256:1")]]
)
def test_no_digest_is_made_up(pods: list[dict[str, Any]]) -> None:
    assert results.digest(pods) is None


def test_what_fetched_the_context_does_not_hide_the_digest() -> None:
    pod = succeeded()
    pod["status"]["initContainerStatuses"] = [{"name": "fetch", "state": {"terminated": {"exitCode": 0}}}]
    assert results.digest([pod]) == DIGEST


@pytest.mark.parametrize(("pods", "events", "parts"), [pytest.param(*row[1:], id=row[0]) for row in ENDS["rows"]])
def test_the_reason_and_the_remedy_are_told(pods: list[dict[str, Any]], events: list[str], parts: list[str]) -> None:
    text = explain(*map(made, pods), events=events)
    assert text.startswith("build website failed: ")
    for part in parts:
        assert part in text
    for remedy in ENDS["remedies"]:
        assert remedy in text if remedy in parts else remedy not in text


@pytest.mark.parametrize("end", [{"exitCode": 143}, {"exitCode": 2}, {"exitCode": 137, "reason": "Error"}], ids=str)
def test_a_builder_that_is_ended_by_the_deadline_is_late_however_it_ends(end: dict[str, Any]) -> None:
    pod = failed(**end, message="STEP 2/2: RUN sleep 600")
    text = explain(deleted(pod), events=(LATE,))
    assert DEADLINE in text
    assert text.endswith("    STEP 2/2: RUN sleep 600")
    # The warning about an earlier Job is there for an hour.
    assert "deadlineSeconds" not in explain(pod, events=(LATE,))
    assert "deadlineSeconds" not in explain(deleted(pod))


def test_the_last_lines_of_the_log_are_shown() -> None:
    log = "\n".join(f"line {number}" for number in range(40)) + "\n\n"
    assert explain(failed(exitCode=2, message=log)).splitlines()[1:] == [f"    line {n}" for n in range(35, 40)]


def test_what_the_step_itself_said_is_among_the_last_lines_of_buildkits_log() -> None:
    *_, before, last = explain(failed(container="buildkit", message=ENDS["buildkit log"])).splitlines()
    assert before == "    0.113 the reason is here"
    assert last.startswith("    error: failed to solve")
