"""The filtering proxy's own texts: what of the engine's API it lets through. Nothing here knows Pulumi."""
