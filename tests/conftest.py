"""What holds for every test."""

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.support.jenkins import LACKS_PLUGIN, NOT_TRIED

OF_THE_SHELL = ("DOCKER_", "GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "KUBECONFIG", "PULUMI_")
"""How variables begin by which whoever runs the tests chooses their own engine, cluster, backend or repository."""


def pytest_configure() -> None:
    """Let no test meet them, nor a proxy on the way to this machine's own servers."""
    kept = {"PULUMI_HOME", "KUBECONFIG"} if os.environ.get("CI_TEST_CLUSTER") == "1" else {"PULUMI_HOME"}
    for name in {*os.environ} - kept:
        if name.startswith(OF_THE_SHELL):
            del os.environ[name]
    os.environ["YES"] = "1"  # nobody is there to answer
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), "localhost", "127.0.0.1")))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Take down the lab that a test brought up, when the last process of the tests has ended. Another one stays."""
    if not hasattr(session.config, "workerinput") and (Path(__file__).parents[1] / ".local/lab").exists():
        import lab  # noqa: PLC0415 - most tests have none

        lab.release()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what rewrites the recorded registrations."""
    parser.addoption("--update-registrations", action="store_true", help="record what the stacks register now")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what was not tried for want of a real Jenkins."""
    for reason in (NOT_TRIED, LACKS_PLUGIN):
        skipped = [each for each in terminalreporter.stats.get("skipped", ()) if reason in str(each.longrepr)]
        if not skipped:
            continue
        files = Counter(Path(each.nodeid.partition("::")[0]).name for each in skipped)
        names = ", ".join(f"{count} of {name}" for name, count in files.items())
        terminalreporter.write_line(
            f"Not tried: {len(skipped)} tests ({names}): {reason if reason == NOT_TRIED else skipped[0].longrepr[2]}"
        )
