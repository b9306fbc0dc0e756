"""What holds for every test."""

import sys


def pytest_sessionfinish() -> None:
    """Take down the lab that a test brought up. One that was up before stays."""
    lab = sys.modules.get("lab.lab")
    for found in lab.STARTED if lab is not None else ():
        found.down()
