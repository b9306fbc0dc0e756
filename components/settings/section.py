"""What all sections of the settings have in common."""

from typing import Final, Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

from .problems import NotAcceptedError

_LONGEST_TEXT: Final = 4096
"""Characters of a text whose field has no limit of its own. Longer ones only slow the checks down."""


class Section(BaseModel):
    """A map of settings: no unknown keys, no conversion of types, frozen.

    A stack's file has its keys in camelCase. A program gives its fields by their names, and an error shows no value.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        str_max_length=_LONGEST_TEXT,
        strict=True,
        validate_by_name=True,
    )


class OneOf(Section):
    """A map that has exactly one of its keys."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [str(field.alias) for name, field in type(self).model_fields.items() if getattr(self, name) is not None]
        if len(given) != 1:
            every = ", ".join(str(field.alias) for field in type(self).model_fields.values())
            raise NotAcceptedError(
                f"has more than one of its keys ({', '.join(given)})" if given else "has none of its keys",
                f"give exactly one of {every}",
                "one_of",
            )
        return self
