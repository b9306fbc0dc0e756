"""Writes docs/comparison.md and its charts from the figures. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tools.bench import report
from tools.compare import rights, verdicts
from tools.compare.contexts import CONTEXTS, STEPS
from tools.compare.meter import LOOK_SECONDS
from tools.compare.ways import AGAINST
from tools.compare.words import QUESTIONS, WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tools.compare.figures import Figures, Found

FOLDER: Final = "comparison"
"""The folder beside the page that holds its charts and figures."""

_STEPS: Final = {
    "cold": "for the first time, base image and all",
    "warm": "once more, nothing changed",
    "changed": "once more, with another last layer",
}

_PAGE: Final = """\
# Ways to build an image, compared

Written by `make compare`, which deploys each way with this project's own stacks, builds the same three contexts by all
of them in turn, and tries out what a build may do. Each figure is a ratio first, of the same round: how many times as
much as by the mounted socket, which the usual stack has. Ratios carry over to other machines; seconds do not.

{missing}## Which one to choose

Ask first who can change a job, or a Dockerfile, and what they may become.

{advice}

{choice}

## Three claims against Docker-in-Docker

{verdicts}

## How long a build takes

{contexts}

![How long each build takes]({folder}/time.svg)

{times}

## Processor time and memory

![Processor time of a first build]({folder}/cpu.svg)

![Memory at its highest in a first build]({folder}/memory.svg)

Of the first build of each context: the ratio, then processor time; the ratio, then memory at its highest.

{costs}

{idle}

## What a build may do

As deployed, and as a `RUN` step of a Dockerfile sees itself. *Reads the host* is whether what a job or a build is
given was enough, without breaking out of anything, to read a marker file of the host that is in no container.

{rights}

What a build that does break out could reach:

{escapes}

## What the image is

Of the image that was built last, as the registry has it; *unpacked* is its layers as plain archives.

{sizes}

## How it was measured

- A build is from when it is asked for until its image is in the registry, which is one for all: the stack's own, over
  TLS, on this machine. On a Docker host that is `docker build` and `docker push` by the client in the deployed
  controller; in the cluster it is the Job that the stack declares, from its creation to its completion, pod, pull and
  push included. The files lie ready: in the controller as after a checkout, or in the Job's ConfigMap.
- What a cluster does between the steps of a Job is in its figure, too: it is seen to end in steps of about a second.
- All contexts build from the same small base by the same name, from a registry on this machine, over TLS too.
  *Cold* has a mark that no build had before in its first layer and its files, so that no cache has anything of it, and
  engines have forgotten the base; kaniko and its like have no store of their own between two builds. *Warm* is the same
  again: engines have their own cache, builders in pods the one in the registry. *Changed* has another last file.
- Each way builds a context cold, warm and changed; then the next way does. A round is all ways, and every other round
  goes in the opposite order. The ratio is the median of the rounds' ratios, and the range beside it holds all {rounds}
  rounds. Other figures are medians.
- Processor time is what the kernel counts for the way's control groups (the pod; or the containers that the build
  started, an engine or proxy of the way's own, and the client) and, where the host's engine builds, for `dockerd` and
  `containerd`, which have none of their own. Another build on the host's engine in the same moment would count, too.
  The cluster's control plane and the registry are in no way's figure.
- Memory is without page cache, looked at every {look:.0f} ms. An engine's own is in it, since it has to be there; the
  controller's is not, but for what the client adds.
- Pods may use all processors and {memory} MiB, as builds on the host may.
- Control groups are read in version 1 and 2. Containers are looked for below `docker`, where an engine with the
  `cgroupfs` driver keeps them; with the `systemd` driver they are elsewhere, and the comparison says so and ends.

## The machine

{machine}

The figures themselves, every round: [{folder}/figures.json]({folder}/figures.json).
"""


def page(figures: Figures, *, memory_mib: int) -> str:
    """Give the text of docs/comparison.md.

    Args:
        figures: what was measured.
        memory_mib: a pod's limit.
    """
    measured = [way for steps in figures.builds.values() for of in steps.values() for way in of.values()]
    rounds = sorted({len(way.seconds) for way in measured})
    return _PAGE.format(
        missing=_missing(figures),
        advice="\n".join(_advice(figures)),
        choice=_choice(figures),
        verdicts=_verdicts(figures),
        contexts=_contexts(),
        times="\n\n".join(_times(figures, context) for context in figures.builds),
        costs=_costs(figures),
        idle=_idle(figures),
        rights=_rights(figures),
        escapes="\n".join(f"- **{way}**: {WORDS[way].escape}." for way in figures.ways),
        sizes=_sizes(figures),
        machine="\n".join(f"- {name}: {value}" for name, value in figures.machine.items()),
        rounds=" or ".join(map(str, rounds)),
        look=LOOK_SECONDS * 1000,
        memory=memory_mib,
        folder=FOLDER,
    )


def _missing(figures: Figures) -> str:
    lines = [f"- **{way}**: {why}" for way, why in figures.missing.items()]
    lines += [f"- the context *{each.name}*: the time was up" for each in CONTEXTS if each.name not in figures.builds]
    return "\n".join(["Not measured:\n", *lines, "", ""]) if lines else ""


def _advice(figures: Figures) -> Iterator[str]:
    """Give the way through the choice, as a list in Markdown, of the ways that were measured."""
    for number, (question, ways) in enumerate(QUESTIONS, 1):
        answers = [f"   - {answer}: **{way}**{_price(figures, way)}." for answer, way in ways if way in figures.ways]
        if answers:
            yield "\n".join([f"{number}. {question}", *answers])


def _price(figures: Figures, way: str) -> str:
    """Say how much longer a small change takes, from the lowest to the highest of the contexts."""
    if way == AGAINST:
        return ", and all other ways are held against it"
    ratios = [figures.ratio(context, "changed", way, "seconds").ratio for context in figures.builds]
    return (
        f", in which a change takes {report.times(min(ratios))} to {report.times(max(ratios))} as long as by the socket"
    )


def _choice(figures: Figures) -> str:
    rows = [("way", "choose it when", "it costs", "a small change, built again")]
    for way in figures.ways:
        words = WORDS[way]
        again = figures.ratio(CONTEXTS[0].name, "changed", way, "seconds") if way != AGAINST else None
        rows.append(
            (
                f"**{way}**: {words.title}",
                words.choose,
                words.at,
                report.ratio(again) if again else "1",
            )
        )
    return _table(rows)


def _verdicts(figures: Figures) -> str:
    found = verdicts.verdicts(figures)
    if not found:
        return "Docker-in-Docker was not measured, so there is nothing to judge by."
    parts = []
    for number, each in enumerate(found, 1):
        reasons = "\n".join(f"   - {reason}" for reason in each.because)
        parts.append(f"{number}. *{each.claim}* **{each.word.capitalize()}.**\n{reasons}")
    return "\n".join(parts)


def _contexts() -> str:
    lines = [f"- *{context.name}*: {context.what}." for context in CONTEXTS]
    lines += [f"- *{step}*: {what}." for step, what in _STEPS.items()]
    return "\n".join(lines)


def _times(figures: Figures, context: str) -> str:
    rows = [(context, *STEPS)]
    for way in figures.ways:
        cells = [_cell(figures, context, step, way, "seconds") for step in STEPS]
        rows.append((f"**{way}**", *cells))
    return _table(rows)


def _costs(figures: Figures) -> str:
    rows = [("", *(f"{context}, {what}" for context in figures.builds for what in ("processor", "memory")))]
    for way in figures.ways:
        cells = [
            _cell(figures, context, STEPS[0], way, figure) for context in figures.builds for figure in ("cpu", "peak")
        ]
        rows.append((f"**{way}**", *cells))
    return _table(rows)


def _cell(figures: Figures, context: str, step: str, way: str, figure: str) -> str:
    ratio = figures.ratio(context, step, way, figure)
    if way == AGAINST:
        return f"1; {report.absolute('', ratio.mine, ratio.unit).strip()}"
    return f"{report.ratio(ratio)}; {report.amount(ratio.mine.median, ratio.unit)}"


def _idle(figures: Figures) -> str:
    standing = "; ".join(f"{way} {mib:.0f} MiB" for way, mib in figures.idle.items())
    return (
        f"What stands while nothing is built (engines, proxies): {standing}. Builders in pods leave nothing standing."
        if standing
        else ""
    )


def _rights(figures: Figures) -> str:
    rows = [("way", "deployed with", "Pod Security", "a RUN step is", "reads the host", "shares the host's cache")]
    for way in figures.ways:
        found = figures.found.get(way)
        if found is None:
            continue
        rows.append(
            (
                f"**{way}**: {WORDS[way].build}",
                "; ".join(rights.of_holder(holder) for holder in found.holders),
                f"`{found.level}`" if found.level else "no pods",
                rights.of_step(found.step),
                _reads(found, WORDS[way].whose),
                "yes" if found.shares_cache else "no",
            )
        )
    return _table(rows)


def _reads(found: Found, whose: str) -> str:
    if not found.reads_host:
        return f'no: "{found.said}"'
    return f"yes, {whose}" if whose else "yes"


def _sizes(figures: Figures) -> str:
    rows = [("", *(f"{context}{what}" for context in figures.sizes for what in ("", ", unpacked", ", layers")))]
    for way in figures.ways:
        cells: list[str] = []
        for of in figures.sizes.values():
            size = of[way]
            ratio = size.packed / of[AGAINST].packed
            cells += [f"{ratio:.2f}x; {size.packed / 1e6:.1f} MB", f"{size.unpacked / 1e6:.1f} MB", str(size.layers)]
        rows.append((f"**{way}**", *cells))
    return _table(rows)


def _table(rows: Iterable[Sequence[str]]) -> str:
    head, *body = rows
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *body))
