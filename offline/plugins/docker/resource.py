"""What a type of resource tells the provider."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pulumi.runtime.proto.provider_pb2 import CheckFailure

from . import schema
from .engine import Engine

State = dict[str, Any]
Say = Callable[[str], None]
"""Shows the user a line about the resource that is being made."""


@dataclass(frozen=True)
class Made:
    """A resource that exists.

    Attributes:
        id: its id.
        state: its properties.
        failures: why it is not as it should be (a container that was made, and does not start); the engine
            keeps such a resource in the state and tries again at the next update.
    """

    id: str
    state: State
    failures: list[str] = field(default_factory=list)


class ResourceType(ABC):
    """One type of resource. Every method may raise PluginError."""

    fields: ClassVar[schema.Fields]
    # Whether a replacement removes the old resource first: two cannot have one name.
    deletes_first: ClassVar[bool] = True
    # What the official plugin's framework keeps in the state.
    meta: ClassVar[str] = ""

    def __init__(self, engine: Engine) -> None:
        """Act on `engine`."""
        self._engine = engine

    def check(self, inputs: dict[str, Any]) -> tuple[dict[str, Any], list[CheckFailure]]:
        """Check inputs; return them with defaults and the names of those, and all that is wrong with them."""
        checked, failures = schema.check(self.fields, inputs)
        return {**checked, schema.DEFAULTS: sorted(name for name in checked if inputs.get(name) is None)}, failures

    def plan(self, inputs: dict[str, Any], prior: State) -> State:
        """Give the state that inputs ask for; `prior` has what the engine fills in."""
        return schema.plan(self.fields, inputs, prior)

    def compare(self, state: State, inputs: dict[str, Any]) -> dict[str, int]:
        """Find which properties checked inputs change, and how."""
        return schema.compare(self.fields, state, self.plan(inputs, state))

    def refreshed(self, inputs: dict[str, Any], state: State) -> dict[str, Any]:
        """Give the inputs that belong to a state that was just read."""
        return schema.refreshed(self.fields, inputs, state)

    @abstractmethod
    def create(self, planned: State, say: Say) -> Made:
        """Make the resource."""

    @abstractmethod
    def read(self, id_: str, state: State) -> Made | None:
        """Look at the resource; None when it is gone."""

    def update(self, id_: str, state: State, planned: State, say: Say) -> State:
        """Change the resource in place: here, there is nothing to change on the engine."""
        return planned

    def delete(self, id_: str, state: State) -> None:  # noqa: B027 (images stay on the engine)
        """Remove the resource; one that is gone already is no error."""
