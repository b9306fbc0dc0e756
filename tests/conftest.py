"""What holds for every test."""

import sys

import pytest


def pytest_sessionfinish() -> None:
    """Take down the lab that a test brought up. One that was up before stays."""
    lab = sys.modules.get("lab.lab")
    for found in lab.STARTED if lab is not None else ():
        found.down()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what rewrites the recorded registrations."""
    parser.addoption("--update-registrations", action="store_true", help="record what the stacks register now")
