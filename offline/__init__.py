"""What a closed network cannot fetch: the tool chain from its Go modules, plugins and images that stand in.

`ops` runs it as a process, `python -m offline`; `lab/` and the tests import it. It imports setup. A stand-in
says that it is one.
"""
