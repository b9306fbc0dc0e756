"""The list of plugins from which the controller's image is built."""

import re
from pathlib import Path

import pytest
import yaml

LIST = Path(__file__).parents[2] / "components" / "jenkins" / "image" / "plugins.txt"

KNOWN = yaml.safe_load(Path(__file__).with_name("plugins.yaml").read_text())
WANTED, NEEDED = set(KNOWN["wanted"]), KNOWN["needed"]


def lines() -> list[str]:
    """Give the list without its comments, in its order."""
    return [line for line in LIST.read_text(encoding="ascii").splitlines() if line and not line.startswith("#")]


def names() -> list[str]:
    return [line.partition(":")[0] for line in lines()]


def test_every_plugin_is_pinned_to_one_version() -> None:
    # A date, a number or a release with the hash of its commit; never latest, experimental, a range or an address.
    odd = [line for line in lines() if not re.fullmatch(r"[a-z0-9][a-z0-9-]*:[0-9][A-Za-z0-9._-]*", line)]
    assert not odd


def test_the_list_is_sorted_so_that_a_change_of_it_reads_well_and_has_no_plugin_twice() -> None:
    assert names() == sorted(set(names()))


def test_everything_that_the_configuration_and_the_jobs_use_is_in_the_list() -> None:
    assert set(names()) >= WANTED


def test_the_list_says_which_plugins_are_wanted_for_themselves() -> None:
    [said] = re.findall(r"^# Wanted: (.+)$", LIST.read_text(encoding="ascii"), re.MULTILINE)
    assert set(said.split()) == WANTED


@pytest.mark.parametrize("plugin", sorted(NEEDED))
def test_what_a_plugin_needs_is_pinned_beside_it(plugin: str) -> None:
    assert plugin in names()
    assert set(NEEDED[plugin].split()) <= set(names())


def test_the_list_names_the_release_that_the_default_image_has() -> None:
    from components.settings.jenkins import JenkinsSettings  # noqa: PLC0415

    release = re.search(r":([0-9.]+)-", JenkinsSettings().base_image)
    assert release
    assert f"Jenkins {release[1]} " in LIST.read_text(encoding="ascii")


def test_the_parts_of_one_release_have_one_version() -> None:
    versions = dict(line.split(":") for line in lines())
    for family in ("pipeline-model-", "mina-sshd-api-"):
        assert len({version for name, version in versions.items() if name.startswith(family)}) == 1, family
