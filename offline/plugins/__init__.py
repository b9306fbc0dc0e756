"""Bundled Pulumi plugins: small Python programs that stand in for the official ones on a closed network.

They speak the same gRPC protocol and act on the same real engine. What they implement behaves as the
official plugin does; what they do not implement is refused, never ignored.
"""
