"""`pulumi-resource-docker`: containers, volumes, images and networks on a real Docker engine."""
