"""The list of plugins from which the controller's image is built."""

import re
from pathlib import Path

import yaml

from components.settings.jenkins import JenkinsSettings

TEXT = Path(__file__).parents[2].joinpath("components/jenkins/image/plugins.txt").read_text(encoding="ascii")
LINES = [line for line in TEXT.splitlines() if line and not line.startswith("#")]
NAMES = [line.partition(":")[0] for line in LINES]
KNOWN = yaml.safe_load(Path(__file__).with_name("plugins.yaml").read_text())


def test_every_plugin_is_pinned_to_one_version() -> None:
    # A date, a number or a release with the hash of its commit; never latest, experimental, a range or an address.
    assert not [line for line in LINES if not re.fullmatch(r"[a-z0-9][a-z0-9-]*:[0-9][A-Za-z0-9._-]*", line)]


def test_the_list_is_sorted_so_that_a_change_of_it_reads_well_and_has_no_plugin_twice() -> None:
    assert sorted(set(NAMES)) == NAMES


def test_the_list_has_all_plugins_that_the_configuration_and_the_jobs_use_and_says_which_these_are() -> None:
    [said] = re.findall(r"^# Wanted: (.+)$", TEXT, re.MULTILINE)
    assert set(said.split()) == set(KNOWN["wanted"]) <= set(NAMES)


def test_what_a_plugin_needs_is_pinned_beside_it() -> None:
    assert {*KNOWN["needed"], *" ".join(KNOWN["needed"].values()).split()} <= set(NAMES)


def test_the_list_names_the_release_that_the_default_image_has() -> None:
    release = re.search(r":([0-9.]+)-", JenkinsSettings().base_image)
    assert release
    assert f"Jenkins {release[1]} " in TEXT


def test_the_parts_of_one_release_have_one_version() -> None:
    for family in ("pipeline-model-", "mina-sshd-api-"):
        assert len({line.partition(":")[2] for line in LINES if line.startswith(family)}) == 1, family
