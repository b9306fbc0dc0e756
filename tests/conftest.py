"""What holds for every test."""

from pathlib import Path

import pytest


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Take down the lab that a test brought up, when the last process of the tests has ended. Another one stays."""
    if not hasattr(session.config, "workerinput") and (Path(__file__).parents[1] / ".local/lab").exists():
        import lab  # noqa: PLC0415 - most tests have none

        lab.release()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what rewrites the recorded registrations."""
    parser.addoption("--update-registrations", action="store_true", help="record what the stacks register now")
