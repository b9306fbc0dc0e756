"""The operator's verbs: `python -m ops up`, `status`, `doctor` and so on; `make` calls the same."""
