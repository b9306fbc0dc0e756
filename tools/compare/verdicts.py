"""The three claims against Docker-in-Docker, each judged by what was measured and tried. Pure."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final, Literal

from tools.bench import report
from tools.compare.contexts import STEPS
from tools.compare.figures import OF_JOBS
from tools.compare.ways import AGAINST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.bench.stats import Comparison
    from tools.compare.figures import Figures, Nested, Trial

DIND: Final = "dind"
Word = Literal["true", "half true", "not so here"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a claim."""

    claim: str
    word: Word
    because: Sequence[str]
    """Sentences."""


def verdicts(figures: Figures) -> list[Verdict]:
    """Judge the three claims; none where Docker-in-Docker was not measured."""
    if figures.nested is None or DIND not in figures.ways:
        return []
    return [privileged(figures, figures.nested), storage(figures, figures.nested), faster(figures)]


def privileged(figures: Figures, nested: Nested) -> Verdict:
    """Judge whether it needs `--privileged`, and whether that collides with SELinux and the like."""
    [engine] = [holder for holder in figures.found[DIND].holders if holder.role != OF_JOBS]
    if engine.privileged:
        deployed = "It was deployed with `--privileged`, and built every context."
    else:
        options = "".join(f", `{option}`" for option in engine.security)
        deployed = (
            f"It was deployed without `--privileged`, and built every context; but with {', '.join(engine.added)} "
            f"beside a container's usual capabilities{options}. That is less than `--privileged` gives (every "
            "capability, every device), and no sandbox."
        )
    modules = [name for name in ("selinux", "apparmor") if name in nested.security]
    collision = (
        f"This machine's engine confines containers by {' and '.join(modules)}, and it was so tried."
        if modules
        else "This machine's engine has neither SELinux nor AppArmor: a collision with them could not be tried."
    )
    tried = [_said(trial, "It runs with", "It does not run with") for trial in nested.rights]
    word: Word = "not so here" if nested.rights[0].works else "true" if engine.privileged else "half true"
    return Verdict(
        claim="It needs `--privileged`, which collides with SELinux and the like.",
        word=word,
        because=[deployed, *tried, collision],
    )


def storage(figures: Figures, nested: Nested) -> Verdict:
    """Judge whether one file system on top of another is a trouble."""
    slow = [f"{ratio.what}: {report.ratio(ratio)}" for ratio in _against_socket(figures) if _above(ratio)]
    deployed = (
        f"As deployed, the inner engine keeps its images with `{nested.inner}` on {nested.ground}, on a host whose "
        f"engine has `{nested.outer}`: that works."
    )
    speed = (
        f"Slower than by the host's engine, by more than twice the ratio's error, in {len(slow)} of "
        f"{len(_against_socket(figures))} kinds of builds{': ' if slow else ''}{'; '.join(slow)}."
    )
    tried = [_said(trial, "It keeps images with", "It does not keep images with") for trial in nested.storage]
    return Verdict(
        claim="Its engine puts a copy-on-write file system on top of another, and not every combination works.",
        word="not so here" if all(trial.works for trial in nested.storage) else "true",
        because=[deployed, *tried, speed],
    )


def faster(figures: Figures) -> Verdict:
    """Judge whether the mounted socket shares caches, and whether it is faster."""
    shares, dind_shares = figures.found[AGAINST].shares_cache, figures.found[DIND].shares_cache
    ratios = _against_socket(figures)
    slower = sum(_above(ratio) for ratio in ratios)
    quicker = sum(ratio.ratio < 1 - 2 * ratio.error for ratio in ratios)
    caches = (
        f"What was built through the socket {'was' if shares else 'was not'} in the host engine's cache next; what was "
        f"built by Docker-in-Docker {'was, too' if dind_shares else 'was not'}."
    )
    speed = (
        f"Of {len(ratios)} kinds of builds, each with a cache of its own, Docker-in-Docker took longer than the socket "
        f"in {slower}, less in {quicker}, and the same within twice the ratio's error in "
        f"{len(ratios) - slower - quicker}: "
        f"{'; '.join(f'{ratio.what} {report.ratio(ratio)}' for ratio in ratios)}."
    )
    worth = (
        "What sharing is worth: the first build in an engine that begins empty, against one that the host's cache "
        f"answers: {'; '.join(_worth(figures))}."
    )
    holds = shares and not dind_shares
    # With so many ratios, one or two are beyond twice their error by chance.
    is_faster = slower > len(ratios) / 2
    word: Word = "true" if holds and is_faster else "half true" if holds or is_faster else "not so here"
    return Verdict(
        claim="The mounted socket makes containers on the host's own engine, so caches are shared and work is faster.",
        word=word,
        because=[caches, speed, worth],
    )


def _against_socket(figures: Figures) -> list[Comparison]:
    return [figures.ratio(context, step, DIND, "seconds") for context in figures.builds for step in STEPS]


def _worth(figures: Figures) -> list[str]:
    """Hold a cold build by Docker-in-Docker against a warm one by the socket, of the same rounds."""
    return [f"{context} {report.ratio(figures.worth(context, DIND))}" for context in figures.builds]


def _above(ratio: Comparison) -> bool:
    """Say whether it is above 1 by more than twice what it may be off by chance."""
    return ratio.ratio > 1 + 2 * ratio.error


def _said(trial: Trial, works: str, fails: str) -> str:
    return f"{works} {trial.what}." if trial.works else f'{fails} {trial.what}: "{trial.said}".'
