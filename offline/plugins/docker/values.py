"""Pulumi's property values on the wire, and as plain Python.

On the wire a value that is not known yet is a string with a fixed UUID, and a secret an object with a signature.
"""

from typing import Any, Final

from google.protobuf import struct_pb2  # type: ignore[import-untyped,unused-ignore]

UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""A value that a preview cannot know. Source: the Pulumi SDK, pulumi/runtime/rpc.py."""

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 (the signature of a secret, not one)


def secret(value: Any) -> dict[str, Any]:
    """Mark a value as one that the engine must keep in cipher."""
    return {_SIGNATURE: _SECRET, "value": value}


def from_struct(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Read the properties of a request, with every secret opened."""
    return {key: _from_value(value) for key, value in struct.fields.items()}


def _from_value(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "list_value":
        return [_from_value(item) for item in value.list_value.values]
    if kind == "struct_value":
        fields = from_struct(value.struct_value)
        return fields["value"] if fields.get(_SIGNATURE) == _SECRET else fields
    return None if kind == "null_value" else getattr(value, kind)


def to_struct(properties: dict[str, Any]) -> struct_pb2.Struct:
    """Write properties for a response."""
    struct = struct_pb2.Struct()
    struct.update(properties)
    return struct
