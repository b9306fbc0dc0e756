"""What the comparison shows: ratios first, charts that are sound, verdicts that follow from the figures."""

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from tests.support.comparison import CONTROLLER, ENGINE, NESTED, figures, measured
from tools.compare import charts, page, rights
from tools.compare.capabilities import COUNT, names
from tools.compare.chart import Bar, Chart, Panel, draw
from tools.compare.figures import Figures, Holder, RunStep
from tools.compare.verdicts import verdicts
from tools.compare.ways import ALL
from tools.compare.words import WORDS

SVG = "{http://www.w3.org/2000/svg}"


def test_each_ratio_stands_before_its_absolute_figure() -> None:
    text = page.page(figures(), memory_mib=4096)
    assert "| **dind** | 2.00x (2.00-2.00); 2.00 s | 2.00x (2.00-2.00); 4.00 s | 2.00x (2.00-2.00); 6.00 s |" in text
    assert "| **socket** | 1; 1.00 s (0.98-1.02) |" in text


def test_the_page_names_what_could_not_be_measured_and_why() -> None:
    text = page.page(figures().model_copy(update={"missing": {"tcp": "no engine"}}), memory_mib=4096)
    assert "Not measured:\n\n- **tcp**: no engine\n\n## Which" in text
    found = figures()
    builds = {name: of for name, of in found.builds.items() if name != "many"}
    text = page.page(found.model_copy(update={"builds": builds}), memory_mib=4096)
    assert "Not measured:\n\n- the context *many*: the time was up\n\n## Which" in text


def test_every_way_of_the_table_has_its_words() -> None:
    assert {way.name for way in ALL} <= set(WORDS)


def test_figures_are_the_same_when_they_are_read_again() -> None:
    found = figures()
    assert Figures.model_validate_json(found.model_dump_json()) == found


def test_every_chart_is_sound_and_says_in_words_what_it_shows() -> None:
    for text in charts.charts(figures()).values():
        root = ET.fromstring(text)
        assert root.find(f"{SVG}title") is not None
        described = root.findtext(f"{SVG}desc") or ""
        assert "tiny, cold: socket " in described
        assert ", dind " in described
        width = float(root.attrib["width"])
        for element in root.iter(f"{SVG}rect"):
            assert float(element.get("x", "0")) + float(element.attrib["width"]) <= width
        for element in root.iter(f"{SVG}text"):
            if element.attrib["text-anchor"] == "start":  # letters are about half as wide as they are high
                letters = len(element.text or "") * float(element.attrib["font-size"]) / 2
                assert float(element.attrib["x"]) + letters <= width, element.text


def test_a_bar_is_as_long_as_its_figure_and_nothing_is_drawn_outside() -> None:
    bars = [Bar(value=value, low=value, high=value) for value in (1.0, 2.0, 4.0)]
    rows = [(str(bar.value), [bar]) for bar in bars]
    text = draw(Chart(title="<t>", description="d & e", unit="s", legend=["one"], panels=[Panel(title="p", rows=rows)]))
    drawn = [float(width) for width in re.findall(r'<rect x="\d+" y="[\d.]+" width="([\d.]+)" height="9.5"', text)]
    assert [long / short for short, long in pairwise(drawn)] == pytest.approx([2.0, 2.0], rel=0.01)
    assert (ET.fromstring(text).findtext(f"{SVG}title"), ET.fromstring(text).findtext(f"{SVG}desc")) == ("<t>", "d & e")


def test_without_docker_in_docker_there_is_nothing_to_judge() -> None:
    assert verdicts(figures({"kaniko": 3.0}, nested=None)) == []


def test_a_list_of_capabilities_in_place_of_privileged_makes_the_first_claim_half_true() -> None:
    [first, *_] = verdicts(figures())
    assert first.word == "half true"
    assert "without `--privileged`" in first.because[0]
    assert "SYS_ADMIN" in first.because[0]
    assert first.because[1] == 'It does not run with the rights of any container: "mount: permission denied".'
    assert "could not be tried" in first.because[-1]


def test_an_engine_that_was_deployed_privileged_makes_the_first_claim_true() -> None:
    found = figures()
    dind = found.found["dind"].model_copy(
        update={"holders": (CONTROLLER, ENGINE.model_copy(update={"privileged": True}))}
    )
    [first, *_] = verdicts(found.model_copy(update={"found": {**found.found, "dind": dind}}))
    assert first.word == "true"


def test_an_engine_that_runs_without_any_right_makes_the_first_claim_not_so() -> None:
    plain = NESTED.rights[0].model_copy(update={"works": True})
    [first, *_] = verdicts(figures(nested=NESTED.model_copy(update={"rights": (plain,)})))
    assert first.word == "not so here"


def test_a_storage_that_fails_makes_the_second_claim_true_and_is_quoted() -> None:
    _, second, _ = verdicts(figures())
    assert second.word == "true"
    assert second.because[1] == (
        'It does not keep images with `overlay2` on the container\'s own file system: "not supported".'
    )
    fine = NESTED.storage[0].model_copy(update={"works": True})
    _, second, _ = verdicts(figures(nested=NESTED.model_copy(update={"storage": (fine,)})))
    assert second.word == "not so here"


@pytest.mark.parametrize(
    ("times", "shares", "word"),
    [
        (2.0, {"socket": True}, "true"),
        (1.0, {"socket": True}, "half true"),
        (0.5, {"socket": True}, "half true"),
        (2.0, {"socket": True, "dind": True}, "half true"),
        (1.0, {"socket": True, "dind": True}, "not so here"),
    ],
)
def test_the_third_claim_takes_both_a_shared_cache_and_speed(times: float, shares: dict[str, bool], word: str) -> None:
    *_, third = verdicts(figures({"dind": times}, shares=shares))
    assert third.word == word


def test_one_slower_build_among_nine_is_chance_and_makes_nothing_faster() -> None:
    found = figures({"dind": 1.0})
    found.builds["tiny"]["cold"]["dind"] = measured(1, 2.0)
    *_, third = verdicts(found)
    assert third.word == "half true"
    assert (
        "took longer than the socket in 1, less in 0, and the same within twice the ratio's error in 8"
        in (third.because[1])
    )


def test_what_a_cache_that_is_there_is_worth_is_a_first_build_against_a_repeated_one() -> None:
    *_, third = verdicts(figures({"dind": 3.0}))
    assert "tiny 1.50x (1.50-1.50)" in third.because[-1]


@pytest.mark.parametrize(
    ("holder", "said"),
    [
        (CONTROLLER, "controller: uid 1000, no capability"),
        (ENGINE, "engine: root, SYS_ADMIN beside the engine's own choice, `seccomp=unconfined`"),
        (Holder(role="e", user="", privileged=True), "e: root, privileged"),
        (
            Holder(role="e", user="0", privileged=False, added=("ALL",), dropped=("SYS_RESOURCE",)),
            "e: root, every capability but SYS_RESOURCE",
        ),
        (
            Holder(role="c", user="1000:1000", privileged=False, dropped=("ALL",), socket=True),
            "c: uid 1000, no capability, the host engine's socket",
        ),
    ],
)
def test_rights_are_said_as_they_were_deployed(holder: Holder, said: str) -> None:
    assert rights.of_holder(holder) == said


def test_a_step_says_whose_root_it_is() -> None:
    step = RunStep(
        uid=100000, capabilities=names((1 << COUNT) - 1), in_namespace=True, seccomp=False, no_new_privileges=True
    )
    assert rights.of_step(step) == (
        f"uid 100000 of the host, {COUNT} of {COUNT} capabilities in a user namespace, "
        "no filter of system calls, may gain no more"
    )
