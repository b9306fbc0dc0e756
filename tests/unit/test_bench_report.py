"""What the benchmark shows."""

import io

from rich.console import Console

from tools.bench import machine, report
from tools.bench.measure import interleaved
from tools.bench.report import Measured
from tools.bench.stats import LEAST_ROUNDS, Comparison, Series, Unit

MACHINE = {
    "processor": "2 cores of a kind",
    "language host": "of this clone, bundled",
    "Docker plugin": "5.2.0, official",
}


def comparison(
    mine: float, other: float, *, goal: float | None = None, unit: Unit = "s", wobble: float = 0.0
) -> Comparison:
    near = (0.0, wobble, -wobble, wobble, -wobble)
    return Comparison(
        what="preview, nothing to do",
        ours="this project",
        theirs="bare program",
        mine=Series(tuple(mine + each for each in near)),
        other=Series((other,) * 5),
        unit=unit,
        goal=goal,
    )


def measured(*comparisons: Comparison, title: str = "Docker", notes: tuple[str, ...] = ()) -> Measured:
    return Measured(title=title, comparisons=comparisons, machine=MACHINE, reading="- How to.", notes=notes)


def test_the_ratio_stands_before_the_absolute_figures_with_its_range() -> None:
    (row,) = report.rows([comparison(2.06, 2.0, goal=1.05, wobble=0.02)])
    assert row == (
        "preview, nothing to do",
        "1.03x (1.02-1.04)",
        "at most 1.05: met",
        "this project 2.06 s (2.04-2.08)",
        "bare program 2.00 s (2.00-2.00)",
    )


def test_memory_is_shown_in_mebibytes_and_without_digits_that_mean_nothing() -> None:
    (row,) = report.rows([comparison(312.34, 104.1, unit="MiB")])
    assert row[1:4] == ("3.00x (3.00-3.00)", "", "this project 312 MiB (312-312)")


def test_a_missed_goal_is_told_with_how_much_it_is_too_much() -> None:
    (sentence,) = report.verdict([comparison(2.2, 2.0, goal=1.05), comparison(1.0, 1.0)])
    assert sentence == (
        "Missed: preview, nothing to do: this project is at 1.10x of bare program, where 1.05 is the goal; "
        "too much by 0.050 (100 ms)."
    )


def test_a_goal_that_the_figures_cannot_tell_is_called_in_doubt() -> None:
    (sentence,) = report.verdict([comparison(2.08, 2.0, goal=1.05, wobble=0.2)])
    assert sentence.startswith("In doubt: preview, nothing to do: the ratio is 1.040 give or take")


def test_met_goals_are_said_to_be_met() -> None:
    assert report.verdict([comparison(1.0, 1.0, goal=1.05), comparison(9.0, 1.0)]) == ["Every goal is met."]
    assert report.verdict([comparison(9.0, 1.0)]) == ["No goal is set."]


def test_too_much_memory_is_told_in_mebibytes() -> None:
    (sentence,) = report.verdict([comparison(220, 200, goal=1.05, unit="MiB")])
    assert sentence.endswith("too much by 0.050 (10 MiB).")


def test_a_section_names_the_machine_how_to_read_it_and_plugins_that_are_not_pulumis_own() -> None:
    text = report.section(measured(comparison(2.2, 2.0, goal=1.05), notes=("Each build adds 20 ms.",)))
    assert "- processor: 2 cores of a kind" in text
    assert "Not Pulumi's own but bundled with this project: the language host." in text
    assert "- How to." in text
    assert "| preview, nothing to do | 1.10x (1.10-1.10) | at most 1.05: missed |" in text
    assert "Missed: preview, nothing to do" in text
    assert "Each build adds 20 ms." in text
    assert "5 rounds" in text


def test_plugins_that_are_pulumis_own_are_said_to_be() -> None:
    own = {"language host": "3.1, official", "Kubernetes plugin": "4.34, official", "processor": "bundled"}
    assert report.plugins(own) == "The language host and the Kubernetes plugin are Pulumi's own."


def test_measuring_one_platform_keeps_the_others_section_on_the_page() -> None:
    both = report.page("", [report.section(measured(comparison(1.0, 1.0), title=title)) for title in report.TITLES])
    one = report.section(measured(comparison(3.0, 1.0), title="Kubernetes"))
    again = report.page(both, [one])
    assert again.count("\n## ") == 2
    assert again.index("## Docker") < again.index("## Kubernetes")
    assert "1.00x" in again.partition("## Kubernetes")[0]
    assert "3.00x" in again.partition("## Kubernetes")[2]
    assert report.page(again, [one]) == again


def test_the_terminals_table_has_every_line_and_the_machine() -> None:
    console = Console(file=io.StringIO(), width=200)
    console.print(report.table(measured(comparison(2.2, 2.0, goal=1.05))))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "1.10x (1.10-1.10)" in shown
    assert "processor: 2 cores of a kind" in shown


def test_every_other_round_goes_the_other_way_round() -> None:
    order: list[str] = []

    def job(name: str) -> dict[str, float]:
        order.append(name)
        return {"seconds": float(len(order))}

    figures = interleaved({name: lambda name=name: job(name) for name in "abc"}, 3)  # type: ignore[misc]
    assert "".join(order) == "abccbaabc"
    assert figures["a"] == {"seconds": (1.0, 6.0, 7.0)}


def test_rounds_beyond_the_least_are_left_out_when_their_time_is_used_up() -> None:
    figures = interleaved({"a": lambda: {"seconds": 1.0}}, 1000, share=0.0)
    assert figures["a"]["seconds"] == (1.0,) * LEAST_ROUNDS


def test_the_machine_is_read_from_what_the_kernel_says() -> None:
    assert machine.processor("processor\t: 0\nmodel name\t: Some CPU @ 2.20GHz\nmodel name\t: x\n") == (
        "Some CPU @ 2.20GHz"
    )
    assert machine.memory("MemTotal:       24590440 kB\nMemFree: 1 kB\n") == "23 GiB"
    assert machine.system('NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n') == (
        "Debian GNU/Linux 12 (bookworm)"
    )
    assert machine.memory("") == "unknown"
    assert machine.system("") == "Linux"
