"""Jenkins' own texts: configuration as code, the jobs' definitions, the image. Nothing here knows Pulumi."""
