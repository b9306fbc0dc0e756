"""The pages of figures say what was measured, of every way that the settings know."""

import json
from pathlib import Path
from typing import get_args

from benchmarks import report
from benchmarks.comparison import BUILDERS, DAEMON, ENGINES
from components.settings.builds import BuildSettings
from components.settings.docker import DockerSettings

PAGE = Path(__file__).parents[2] / "docs" / "comparison.md"


def test_the_tables_and_the_chart_of_the_comparison_are_those_of_its_figures(tmp_path: Path) -> None:
    figures = json.loads((PAGE.parent / "comparison" / "figures.json").read_text())
    text = PAGE.read_text()
    assert report.filled(text, figures) == text
    for benchmark in figures["benchmarks"]:
        assert report.table(benchmark) in text
    report.chart(figures["benchmarks"], tmp_path / "time.svg")
    assert (tmp_path / "time.svg").read_bytes() == (PAGE.parent / "comparison" / "time.svg").read_bytes()


def test_every_way_that_the_settings_know_is_compared() -> None:
    ways = {
        *get_args(DockerSettings.model_fields["access"].annotation),
        *get_args(BuildSettings.model_fields["builder"].annotation),
    }
    assert ways == {*ENGINES, *BUILDERS}
    text = PAGE.read_text()
    assert [way for way in sorted(ways | {DAEMON}) if f"| **{way}** |" not in text] == []
