"""Pulumi's property values on the wire, and as plain Python.

On the wire a value that is not known yet is a string with a fixed UUID, and a secret an object with a
signature. In Python they are `UNKNOWN` and `Secret`; everything else is what JSON would make of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from .stubs import struct_pb2

# From the Pulumi SDK (pulumi/runtime/rpc.py): one per type, all of which mean "not known yet".
_UNKNOWNS = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
_UNKNOWN_STRING = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 (the signature of a secret, not one)
# Doubles hold every whole number up to here.
_EXACT = 2.0**53


class Unknown(Enum):
    """The type of a value that a preview cannot know."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN


@dataclass(frozen=True)
class Secret:
    """A value that the engine must keep in cipher."""

    value: Any

    def __repr__(self) -> str:
        """Hide the value: a repr ends up in logs."""
        return "Secret(...)"


def has_unknown(value: Any) -> bool:
    """Say whether a value, or anything within it, is not known yet."""
    if isinstance(value, Secret):
        return has_unknown(value.value)
    if isinstance(value, dict):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return value is UNKNOWN


def from_struct(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Read the properties of a request, with every secret opened."""
    return {key: _from_value(value) for key, value in struct.fields.items()}


def _from_value(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value in _UNKNOWNS else value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() and abs(number) <= _EXACT else number
    if kind == "list_value":
        return [_from_value(item) for item in value.list_value.values]
    if kind == "struct_value":
        fields = value.struct_value.fields
        secret = _SIGNATURE in fields and fields[_SIGNATURE].string_value == _SECRET
        return _from_value(fields["value"]) if secret else from_struct(value.struct_value)
    return value.bool_value if kind == "bool_value" else None


def to_struct(properties: dict[str, Any]) -> struct_pb2.Struct:
    """Write properties for a response."""
    struct = struct_pb2.Struct()
    for key, value in properties.items():
        _fill(struct.fields[key], value)
    return struct


def _fill(target: struct_pb2.Value, value: Any) -> None:  # noqa: C901 (one branch per type)
    if value is None:
        target.null_value = struct_pb2.NULL_VALUE
    elif value is UNKNOWN:
        target.string_value = _UNKNOWN_STRING
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int | float):
        target.number_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, Secret):
        target.struct_value.fields[_SIGNATURE].string_value = _SECRET
        _fill(target.struct_value.fields["value"], value.value)
    elif isinstance(value, dict):
        target.struct_value.SetInParent()
        for key, item in value.items():
            _fill(target.struct_value.fields[key], item)
    elif isinstance(value, list):
        target.list_value.SetInParent()
        for item in value:
            _fill(target.list_value.values.add(), item)
    else:
        raise TypeError(f"a property value cannot be a {type(value).__name__}")
