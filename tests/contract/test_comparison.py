"""What docs/comparison.md says is what was measured, of every way that the settings know."""

from pathlib import Path

import pytest

from components.kubernetes.builders import BUILDERS
from components.settings.pod_security import NEEDS, Builder
from tests.support.builder_work import work
from tools.compare import charts, page
from tools.compare.cluster import MEMORY_MIB
from tools.compare.contexts import CONTEXTS, STEPS
from tools.compare.figures import Figures
from tools.compare.probes import of_pod
from tools.compare.ways import ALL, known

DOCS = Path(__file__).parent.parent.parent / "docs"
FOLDER = DOCS / page.FOLDER


@pytest.fixture(scope="module")
def figures() -> Figures:
    return Figures.model_validate_json((FOLDER / "figures.json").read_text())


def test_every_way_that_the_settings_know_can_be_measured() -> None:
    for platform, names in known().items():
        assert {way.name for way in ALL if way.platform == platform} == set(names)


def test_the_page_is_made_from_the_committed_figures_and_by_nobodys_hand(figures: Figures) -> None:
    assert (DOCS / "comparison.md").read_text() == page.page(figures, memory_mib=MEMORY_MIB)


def test_the_charts_are_made_from_the_committed_figures(figures: Figures) -> None:
    drawn = charts.charts(figures)
    assert {file.name: file.read_text() for file in FOLDER.glob("*.svg")} == drawn
    for name in drawn:
        assert f"]({page.FOLDER}/{name})" in (DOCS / "comparison.md").read_text()


def test_every_way_that_the_settings_know_is_measured_or_said_to_be_missing(figures: Figures) -> None:
    for names in known().values():
        for name in names:
            assert (name in figures.ways) != (name in figures.missing), name
            assert f"**{name}**" in (DOCS / "comparison.md").read_text()


@pytest.mark.parametrize("builder", BUILDERS)
def test_the_rights_that_are_shown_of_a_builder_are_those_that_its_pods_have(
    figures: Figures, builder: Builder
) -> None:
    if builder in figures.missing:
        pytest.skip(f"{builder} could not be measured: {figures.missing[builder]}")
    found = figures.found[builder]
    assert found.level == NEEDS[builder].level
    assert found.holders == of_pod(BUILDERS[builder](work(builder)).spec)


def test_each_context_was_built_in_each_way_and_step_or_is_said_to_be_missing(figures: Figures) -> None:
    for context in CONTEXTS:
        said = f"the context *{context.name}*: the time was up" in (DOCS / "comparison.md").read_text()
        assert (context.name in figures.builds) != said
    for steps in figures.builds.values():
        assert list(steps) == list(STEPS)
        for of in steps.values():
            assert set(of) == set(figures.ways) == set(figures.found)
