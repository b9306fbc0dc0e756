"""Measures the Docker platform: gets what is not to be measured, runs the plan, and takes everything away again."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offline import binaries, images
from ops import choice
from ops.clone import read_yaml
from ops.toolchain import docker_engine
from ops.toolchain.errors import Trouble
from tools.bench import machine, report, scratch
from tools.bench.engine import Engine, free_ports
from tools.bench.lab import IMAGE, NAMES, STACK, Lab
from tools.bench.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.clone import Clone
    from tools.bench.measure import Deadline


def measure(clone: Clone, stack: str, deadline: Deadline, *, rounds: int) -> report.Measured:
    """Measure the previews of a stack, by default `dev` or `offline`, and what comes up on an engine of this machine.

    Raises:
        Trouble: where there is no such stack or engine, or something fails.
    """
    base, why = _base(clone, stack)
    engine, docker = _prepare(clone, base)
    with _cleaned(engine) as root:
        lab = Lab(root, clone, base, free_ports(2 * len(NAMES)))
        place = {"Docker engine": engine.version()}
        about = machine.describe(lab.tools.origin, plugin="Docker plugin", place=place)
        found = Plan(lab, engine, deadline, rounds=rounds, docker=docker).run()
    reading = report.DOCKER.format(stack=why)
    return report.Measured(title="Docker", comparisons=found, machine=about, reading=reading)


def _base(clone: Clone, named: str) -> tuple[str, str]:
    """Choose the stack whose settings the previews take, and say why."""
    if named:
        if not clone.committed(named).is_file():
            raise Trouble(f"There is no stack {named!r}.", f"Stacks here: {', '.join(clone.stacks())}", code=2)
        return named, f"The previews are of the stack `{named}`, which was asked for."
    docker_engine.ensure(choice.docker_host(_settings(clone, choice.USUAL)))
    trouble = choice.image_trouble(_settings(clone, choice.USUAL))
    if not trouble:
        return choice.USUAL, f"The previews are of the stack `{choice.USUAL}`."
    # Without the engine's own words, which name this machine's network.
    reason = trouble.partition(" (")[0]
    return choice.STAND_IN, (
        f"The previews are of the stack `{choice.STAND_IN}`, since {reason}. It differs from `{choice.USUAL}` in one "
        "resource: its image is a ready one, where the other's is built."
    )


def _settings(clone: Clone, stack: str) -> dict[str, Any]:
    return read_yaml(clone.committed(stack))


def _prepare(clone: Clone, base: str) -> tuple[Engine, Path]:
    """Get what is not to be measured: the engine, the images, a docker client."""
    host = choice.docker_host(_settings(clone, base))
    if not host.startswith("unix://"):
        raise Trouble(
            f"The engine of the stack {base} is at {host}.", "The benchmark needs one on this machine.", code=2
        )
    docker_engine.ensure(host)
    images.ensure(host)
    engine = Engine(host)
    engine.remove(NAMES)  # of a run that was killed
    engine.tag(images.CONTROLLER, IMAGE)
    client = shutil.which("docker")
    return engine, Path(client) if client else binaries.docker_cli()


@contextlib.contextmanager
def _cleaned(engine: Engine) -> Iterator[Path]:
    """Give a temporary folder; whatever happens, take it away and all that was deployed from it."""
    with scratch.folder() as (root, steps):
        for name in NAMES:
            steps.callback(engine.remove, (name,))
        for image in (IMAGE, f"ci-jenkins:{STACK}"):
            steps.callback(engine.remove_image, image)
        # After a break the engine may be making a container for a plugin that has just been stopped.
        steps.callback(time.sleep, 1)
        yield root
