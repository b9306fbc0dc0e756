"""Figures of a comparison as one run could find them, for tests."""

from collections.abc import Mapping

from tools.compare.contexts import CONTEXTS, STEPS
from tools.compare.figures import Figures, Found, Holder, Measured, Nested, RunStep, Size, Trial
from tools.compare.ways import AGAINST

MACHINE = {"processor": "2 cores of a kind", "memory": "4 GiB"}
STEP = RunStep(uid=0, capabilities=("CHOWN", "KILL"), in_namespace=False, seccomp=True, no_new_privileges=False)
ENGINE = Holder(role="engine", user="", privileged=False, added=("SYS_ADMIN",), security=("seccomp=unconfined",))
CONTROLLER = Holder(role="controller", user="1000:1000", privileged=False, dropped=("ALL",))
NESTED = Nested(
    outer="overlay2",
    inner="overlay2",
    ground="extfs",
    security=("capability",),
    rights=(
        Trial(what="the rights of any container", works=False, said="mount: permission denied"),
        Trial(what="`--privileged`", works=True),
    ),
    storage=(Trial(what="`overlay2` on the container's own file system", works=False, said="not supported"),),
)


def figures(
    times: Mapping[str, float] | None = None,
    *,
    shares: Mapping[str, bool] | None = None,
    nested: Nested | None = NESTED,
) -> Figures:
    """Give figures in which each way takes so many times as long as the socket; by default dind twice as long.

    Args:
        times: by way.
        shares: by way, whether it shares the host's cache; by default the socket alone does.
        nested: what was tried with Docker-in-Docker.
    """
    times = {AGAINST: 1.0, **(times or {"dind": 2.0})}
    shares = shares or {AGAINST: True}

    def found(way: str) -> Found:
        return Found(
            holders=(CONTROLLER, ENGINE) if way == "dind" else (CONTROLLER,),
            level=None,
            step=STEP,
            reads_host=way == AGAINST,
            said="the marker" if way == AGAINST else "No such file or directory",
            shares_cache=shares.get(way, False),
        )

    return Figures(
        machine=MACHINE,
        builds={
            context.name: {step: {way: measured(place + 1, by) for way, by in times.items()} for place, step in order()}
            for context in CONTEXTS
        },
        sizes={
            context.name: {way: Size(packed=10**6, unpacked=3 * 10**6, layers=2) for way in times}
            for context in CONTEXTS
        },
        idle=dict.fromkeys(times, 100.0),
        found={way: found(way) for way in times},
        nested=nested,
    )


def order() -> list[tuple[int, str]]:
    """Give the steps with their places."""
    return list(enumerate(STEPS))


def measured(base: float, times: float) -> Measured:
    """Give five rounds that hardly differ."""
    rounds = tuple(base * wobble for wobble in (1.0, 1.01, 0.99, 1.02, 0.98))
    return Measured(
        seconds=tuple(times * each for each in rounds), cpu=rounds, peak=tuple(50 * each for each in rounds)
    )
