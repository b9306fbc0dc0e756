"""`python -m ops VERB`."""

from ops.cli import main

main()
