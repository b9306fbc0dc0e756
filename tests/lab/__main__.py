"""`python -m tests.lab`."""

from tests.lab.cli import main

main()
