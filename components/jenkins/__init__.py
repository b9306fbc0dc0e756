"""What Jenkins reads: configuration as code, the jobs' definitions, the image. Nothing here uses Pulumi."""
