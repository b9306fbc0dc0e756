"""Compares the ways to build an image: the same contexts, built by each, measured and probed."""
