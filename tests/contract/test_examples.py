"""The table of examples names every stack and every example, each with what tests it."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "examples/README.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| way", "| ---"))
]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_stack_is_a_row_of_its_own_or_the_closed_networks_form_of_one() -> None:
    named = {stack for row in ROWS for cell in row[1:3] for stack in quoted(cell)}
    assert all(quoted(row[4]) for row in ROWS)
    assert named == {
        path.name.split(".")[1]
        for path in [*ROOT.glob("stacks/Pulumi.*.yaml"), *ROOT.glob("examples/stacks/Pulumi.*.yaml")]
    }


def test_every_example_is_in_the_table() -> None:
    named = {Path(place).name for row in ROWS for place in quoted(row[3]) if place.startswith("examples/")}
    assert named == {path.name for path in (ROOT / "examples").iterdir() if path.is_dir() and path.name != "stacks"}
