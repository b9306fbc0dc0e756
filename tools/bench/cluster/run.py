"""Measures the Kubernetes platform on the lab's node, and takes everything away again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.toolchain import console
from tools.bench import machine, report, scratch
from tools.bench.cluster.node import Node
from tools.bench.cluster.plan import Plan
from tools.bench.cluster.stacks import Stacks
from tools.bench.measure import LateError

if TYPE_CHECKING:
    from ops.clone import Clone
    from tools.bench.measure import Deadline


def measure(clone: Clone, deadline: Deadline, *, rounds: int) -> report.Measured:
    """Measure previews, twenty builds and a cached build.

    Raises:
        Trouble: where the lab can't be had, or something fails.
    """
    import lab  # noqa: PLC0415 - the tests' packages, which only this needs

    found = lab.ensure()
    node = Node(found.kubeconfig, found.kubectl)
    with scratch.folder() as (root, steps):
        stacks = Stacks(root, clone, found.kubeconfig)
        node.remove_namespaces(stacks.namespaces())  # of a run that was killed
        steps.callback(node.remove_namespaces, stacks.namespaces())
        about = machine.describe(
            stacks.tools.origin,
            plugin="Kubernetes plugin",
            place={"Kubernetes": f"{node.version()}, one node (the lab)"},
        )
        plan = Plan(stacks, node, deadline, rounds=rounds)
        whole = False
        try:
            plan.run()
            whole = True
        except LateError as late:
            if not plan.found:
                raise
            # Half an hour's figures are not thrown away for the last line of them.
            console.note(f"error: {late}")
            plan.notes.append("Not everything was measured: the time was up.")
    return report.Measured(
        title="Kubernetes",
        comparisons=plan.found,
        machine=about,
        reading=report.KUBERNETES,
        notes=plan.notes,
        whole=whole,
    )
