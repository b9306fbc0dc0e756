"""What `make outdated` says of the pinned plugins, by what their own manifests require."""

import runpy
from pathlib import Path
from typing import Any

import pytest

OUTDATED: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / ".ci/outdated.py"))
MANIFEST = """\
Manifest-Version: 1.0
Short-Name: git
Plugin-Version: 5.10.1
Jenkins-Version: 2.555
Plugin-Dependencies: git-client:6.6.1,credentials:1511.v2e3cb_0008ef0,sc
 m-api:728.vc30dcf7a_0df5,mailer:534.v1b_36f5864073;resolution:=optional
"""
PINS = {"git": "5.10.1", "git-client": "6.6.1", "credentials": "1511.v2e3cb_0008ef0", "scm-api": "729.v00000000001"}


@pytest.mark.parametrize(
    ("changed", "jenkins", "problem"),
    [
        ({}, "2.568.2", None),
        ({"mailer": "534.v1b_36f5864073"}, "2.568.2", None),
        ({"git-client": "6.6.0"}, "2.568.2", "git 5.10.1 needs git-client 6.6.1, and 6.6.0 is pinned"),
        ({"scm-api": None}, "2.568.2", "git 5.10.1 needs scm-api 728.vc30dcf7a_0df5, and it is not pinned"),
        ({"mailer": "99.v9"}, "2.568.2", "git 5.10.1 needs mailer 534.v1b_36f5864073, and 99.v9 is pinned"),
        ({}, "2.554.3", "git 5.10.1 needs Jenkins 2.555, and 2.554.3 is pinned"),
    ],
)
def test_what_a_plugins_manifest_requires_is_compared_with_the_pins(
    changed: dict[str, str | None], jenkins: str, problem: str | None
) -> None:
    pins = {name: version for name, version in {**PINS, **changed}.items() if version}
    plugin = OUTDATED["of_manifest"](MANIFEST.replace("\n", "\r\n"))
    assert list(OUTDATED["unmet"](pins, jenkins, [plugin])) == ([problem] if problem else [])
