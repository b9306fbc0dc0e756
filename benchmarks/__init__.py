"""Measures what this project costs, beside bare programs, `docker run` and `kubectl`, and the ways to build an image.

`python -m benchmarks run` writes figures as JSON, `python -m benchmarks report` makes tables and charts of them.
Nobody imports this package but its tests. It uses the project as a user does (`make`, `pulumi`, `docker`, `kubectl`),
and imports nothing of the other rooms but the names of labels.
"""
