"""Stands in for pulumi-resource-kubernetes: any kind that the API server knows, by server-side apply."""
