"""The state that Pulumi keeps of an object: the live object, the inputs beside it, and which of both is secret."""

from __future__ import annotations

from typing import Any

from ..values import Secret, opened
from .normalize import with_dashes, with_underscores
from .objects import Kind, Object

_INPUTS = "__inputs"
_API_VERSION = "__initialApiVersion"
_FIELD_MANAGER = "__fieldManager"


def plain(properties: Any) -> Any:
    """Give properties as Kubernetes knows them: secrets opened."""
    return with_dashes(opened(properties))


def seal(outputs: Object, inputs: Any) -> Object:
    """Copy properties with that secret which is secret in the inputs.

    A Secret's data always is. A list with anything secret in it is secret as a whole, since its order may change.
    """
    if outputs.get("kind") == "Secret":
        return {key: _sealed(value) if key in ("data", "stringData") else value for key, value in outputs.items()}
    if not isinstance(inputs, dict):
        return outputs
    return {key: _like(value, inputs[key]) if key in inputs else value for key, value in outputs.items()}


def _like(output: Any, given: Any) -> Any:
    if isinstance(output, dict) and isinstance(given, dict):
        return seal(output, given)
    return _sealed(output) if _has_secret(given) else output


def _sealed(value: Any) -> Any:
    return value if isinstance(value, Secret) else Secret(value)


def _has_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_secret(item) for item in value.values())
    if isinstance(value, list):
        return any(_has_secret(item) for item in value)
    return isinstance(value, Secret)


def record(inputs: Object, live: Object, given: Any, *, api_version: str, manager: str) -> Object:
    """Make the state of an object.

    Args:
        inputs: the inputs, opened.
        live: the object as the API server has it.
        given: the inputs as they came, with their secrets.
        api_version: the one that the object was made with.
        manager: the field manager under which this resource's fields are applied.
    """
    state = seal(with_underscores(live), given)
    if Kind.of(live).is_a("Secret") and isinstance(state.get("data"), dict):
        state["data"] = Secret(state["data"])
    return {
        **state,
        _INPUTS: seal(with_underscores(inputs), given),
        _API_VERSION: api_version,
        _FIELD_MANAGER: manager,
    }


def parse(state: Any) -> tuple[Object, Object]:
    """Read (inputs, live object) from a state; a state as older versions of the official plugin wrote it too."""
    known = plain(state)
    if "inputs" in known and "live" in known:
        return known["inputs"] or {}, known["live"] or {}
    inputs = known.get(_INPUTS) or {}
    return inputs, {key: value for key, value in known.items() if key != _INPUTS}


def api_version(state: Any, inputs: Object) -> str:
    """Give the version that an object was made with."""
    return str(opened(state).get(_API_VERSION) or inputs.get("apiVersion") or "")


def manager(state: Any) -> str:
    """Give the recorded field manager, "" when there is none."""
    return str(opened(state).get(_FIELD_MANAGER) or "")
