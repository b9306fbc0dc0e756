"""The settings of a BuildKit daemon that stays."""

from typing import Annotated

from pydantic import Field

from components.settings.cluster_fields import Network, ObjectName
from components.settings.section import Section


class BuildkitSettings(Section):
    """A BuildKit daemon that stays, with its cache on a volume. Builds by `buildkit` then run only its client."""

    replicas: Annotated[int, Field(ge=1, le=100)] = 1
    """How many daemons, each with a volume of its own. A build always goes to the same one. Another number moves some
    builds to another daemon, and builds these again."""

    storage_gib: Annotated[int, Field(ge=2, le=65_536)] = 20
    """Size of each volume, GiB. BuildKit itself keeps its cache below three quarters of it. It can grow later where the
    storage class lets it, and never shrink."""

    storage_class: ObjectName | None = Field(default=None, examples=["fast"])
    """The volumes' storage class. Default: the cluster's own."""

    cpu_millicores: Annotated[int, Field(ge=10, le=256_000)] = 2000
    """Limit of each daemon with all the steps that it runs, thousandths of a processor."""

    memory_mib: Annotated[int, Field(ge=256, le=4_194_304)] = 2048
    """Memory limit of each daemon with all the steps that it runs, MiB."""

    allow_from: tuple[Network, ...] = Field(default=(), examples=[["10.0.0.0/16"]])
    """Where connections to the daemons may come from, beside the builds' namespace. They need a client's certificate
    too."""
