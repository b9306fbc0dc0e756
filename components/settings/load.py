"""Reads a stack's config into `Settings`, or says everything that is wrong with it at once."""

import difflib
import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import pulumi
from pulumi.runtime import config as runtime_config
from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json

from components.settings import checks
from components.settings.model import SECRETS, Settings
from components.settings.problems import HIDDEN, NotAcceptedError, Problem, SettingsError

PREFIX: Final = "ci:"
"""What every key of this project begins with in a stack's config."""

_TEXT_KEYS: Final = {"platform", *SECRETS}
"""Keys whose value is text as it stands; every other key's value is JSON."""

_HIDDEN_PARTS: Final = {"script", "users", "passwordHash"}
"""Settings that are no secrets, and where one is soon typed by mistake: no message shows what is in them."""

Preflight = Callable[[Settings], Iterable[Problem]]
"""Looks at the host that the settings name, and gives what stands in the way. It changes nothing."""

_Location = tuple[int | str, ...]

_REQUIRED: Final[Mapping[str, Mapping[str, Any]]] = {
    "jobs": {"script": "-"},
    "builds": {"context": {"volume": {"claim": "removed"}}},
}
"""What an entry of these lists cannot do without, beside its name: stands in the place of what is wrong there."""

_REQUIRED_OF_MAP: Final[Mapping[str, Mapping[str, Any]]] = {"gitlabRunner": {"url": "https://gitlab.example.org"}}
"""What these maps cannot do without, likewise. Without the map, the stack would be taken for one with Jenkins."""


def _nothing(_: Settings) -> Iterable[Problem]:
    return ()


def load(preflight: Preflight = _nothing) -> Settings:
    """Give the stack's settings, typed and frozen.

    Raises SettingsError, which lists every problem of the config, of what lies between two settings, and of the host
    as `preflight` finds it. No resource may be registered before this returns.
    """
    config = runtime_config.CONFIG.get()
    raw = {key.removeprefix(PREFIX): value for key, value in config.items() if key.startswith(PREFIX)}
    secret = frozenset(key for key in raw if runtime_config.is_config_secret(f"{PREFIX}{key}"))
    settings, problems = read(raw, secret, preflight)
    if problems or settings is None:
        raise SettingsError(pulumi.get_stack(), problems)
    return settings


def read(
    raw: Mapping[str, str], secret: frozenset[str], preflight: Preflight = _nothing
) -> tuple[Settings | None, Sequence[Problem]]:
    """Give settings and problems from the values of the keys (without `ci:`), of which those in `secret` are encrypted.

    With problems, the settings hold a default in the place of each wrong value, so that the other checks can go on;
    they are None where even that is impossible.
    """
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for key, text in raw.items():
        if key in _TEXT_KEYS:
            values[key] = text
            continue
        try:
            values[key] = from_json(json.dumps(json.loads(text)))  # as the model will read it
        except (ValueError, RecursionError):
            values[key] = text  # the model says what it should have been
    problems.extend(_plain_secret(key) for key in SECRETS if key in values and key not in secret)

    settings = None
    wrong: set[_Location] = set()
    try:
        settings = Settings.model_validate_json(json.dumps(values))
    except ValidationError as error:
        details = error.errors(include_url=False)
        problems.extend(_problem(detail, secret) for detail in details)
        wrong = {_place_of(detail) for detail in details}
        settings = _with_defaults_for(wrong, values)
    if settings is not None:
        also = [*checks.between(settings), *(() if ("platform",) in wrong else preflight(settings))]
        problems.extend(problem for problem in also if not _concerns(problem.key, wrong))
    return settings, problems


def _plain_secret(key: str) -> Problem:
    return Problem(
        key=f"{PREFIX}{key}",
        wrong="stands in the stack's file in clear",
        instead=f"change it where it is used, then set the new one with `pulumi config set --secret {PREFIX}{key}`",
    )


def _place_of(detail: ErrorDetails) -> _Location:
    location = detail["loc"]
    # So pydantic marks that a map's key is wrong, and not what is under it.
    return location[:-1] if location[-1:] == ("[key]",) else location


def _with_defaults_for(wrong: set[_Location], values: Mapping[str, Any]) -> Settings | None:
    """Give the settings without what is wrong. What had to go with it is added to `wrong`."""
    pruned = json.loads(json.dumps(values)) | ({"platform": "docker"} if ("platform",) in wrong else {})
    gone = {_whole(location) for location in wrong} - {("platform",)}
    while gone and () not in gone:
        wrong |= gone
        for location in gone:
            _remove(pruned, location)
        try:
            return Settings.model_validate_json(json.dumps(pruned))
        except ValidationError as error:
            # What a map can't do without takes the map with it.
            gone = {_whole(_place_of(detail)[:-1]) for detail in error.errors(include_url=False)}
            if gone <= wrong:
                return None
    return None if gone else Settings.model_validate_json(json.dumps(pruned))


def _whole(location: _Location) -> _Location:
    """Give what goes where this is wrong: of a list everything, so that no entry is called by another's place."""
    for at, part in enumerate(location):
        in_list = isinstance(part, int) and not (at == 1 and location[0] in _REQUIRED)
        # Without one of its files, a context would be told that it lacks a Dockerfile.
        if in_list or location[:at][-2:] == ("context", "inline"):
            return location[:at]
    return location


def _remove(values: Any, location: _Location) -> None:  # noqa: ANN401 - any JSON
    entries = _REQUIRED.get(str(location[0]))
    if entries is not None and len(location) > 1:
        place = location[1]
        # Not deleted: the places of the others are in their keys.
        whole = {**entries, "name": f"removed-{place}"}
        if len(location) == 2:  # noqa: PLR2004 - the entry itself
            values[location[0]][place] = whole
            return
        if len(location) == 3 and location[2] in whole:  # noqa: PLR2004 - what an entry needs
            values[location[0]][place][location[2]] = whole[str(location[2])]
            return
    needed = _REQUIRED_OF_MAP.get(str(location[0]))
    if needed is not None and len(location) == 1:
        values[location[0]] = dict(needed)
        return
    if needed is not None and len(location) == 2 and location[1] in needed:  # noqa: PLR2004
        values[location[0]][location[1]] = needed[str(location[1])]
        return
    *parents, last = location
    for part in parents:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(values, dict):
        values.pop(last, None)


def _concerns(key: str, wrong: set[_Location]) -> bool:
    """Say whether a key is among those that are wrong, in one of them, or the section around one of them."""
    places = [_key(place) for place in wrong]
    around = "." in key or "[" in key
    return any(key == place or _is_in(key, place) or (around and _is_in(place, key)) for place in places)


def _is_in(key: str, other: str) -> bool:
    return key.startswith((f"{other}.", f"{other}["))


def _key(location: _Location) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else f"{PREFIX}{part}"
    return text


def _problem(detail: ErrorDetails, secret: frozenset[str]) -> Problem:
    location = _place_of(detail)
    key = _key(location)
    top = str(location[0])
    hidden = top in secret or top in SECRETS or detail["type"] == "missing" or not _HIDDEN_PARTS.isdisjoint(location)
    value = HIDDEN if hidden else _without_credentials(detail["input"])
    place = _place(location)
    if detail["type"] == "extra_forbidden":
        return _unknown(key, location)
    if detail["type"] == "missing":
        return Problem(key=key, wrong="is missing", instead=f"give {_accepted(place)}{_example(place)}")
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, NotAcceptedError):
        example = "" if "for example" in cause.instead else _example(place)
        return Problem(key=key, value=value, wrong=cause.wrong, instead=f"{cause.instead}{example}")
    if top in SECRETS:
        return Problem(key=key, wrong="is not text", instead=f"set it with `pulumi config set --secret {key}`")
    meant = ""
    if "enum" in place and isinstance(detail["input"], str):
        meant = _nearest(detail["input"], [str(choice) for choice in place["enum"]])
    wrong = f"is {_kind(detail['input'])}" if _is_of_another_kind(detail["type"]) else "is not accepted"
    return Problem(key=key, value=value, wrong=wrong, instead=f"give {_accepted(place)}{meant or _example(place)}")


def _without_credentials(value: object) -> object:
    """Give a value as a message may show it: no login in an address, nothing of what `_HIDDEN_PARTS` names."""
    if isinstance(value, str):
        return re.sub(r"//[^/@]*@", "//(hidden)@", value)
    if isinstance(value, list):
        return [_without_credentials(entry) for entry in value]
    if isinstance(value, dict):
        return {key: "(hidden)" if key in _HIDDEN_PARTS else _without_credentials(part) for key, part in value.items()}
    return value


def _unknown(key: str, location: _Location) -> Problem:
    known = list(_place(location[:-1]).get("properties", {}))
    meant = _nearest(str(location[-1]), known)
    parent = _key(location[:-1])
    names = ", ".join(f"{PREFIX}{name}" if not parent else name for name in known)
    return Problem(key=key, wrong="is not a setting", instead=f"the settings here are {names}{meant}")


def _nearest(word: str, known: Sequence[str]) -> str:
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f" (did you mean {by_lower[near[0]]}?)" if near else ""


def _is_of_another_kind(error: str) -> bool:
    return error.endswith("_type") or error in {"int_from_float", "int_parsing"}


def _kind(value: object) -> Literal["true or false", "a number", "text", "a list", "a map", "empty"]:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "a map"


@functools.cache
def _schema() -> Mapping[str, Any]:
    return Settings.model_json_schema()


def _place(location: _Location) -> Mapping[str, Any]:
    """Give the JSON Schema of the place, the one description of what is accepted there."""
    place = _schema()
    for part in location:
        place = place.get("items", {}) if isinstance(part, int) else place.get("properties", {}).get(part, {})
        outer = {name: place[name] for name in ("examples", "default") if name in place}
        for choice in place.get("anyOf", ()):
            if choice.get("type") != "null":
                place = choice
        if "$ref" in place:
            place = _schema()["$defs"][place["$ref"].rpartition("/")[2]]
        place = {**place, **outer}
    return place


def _accepted(place: Mapping[str, Any]) -> str:  # noqa: PLR0911 - a table
    if "const" in place:
        return str(place["const"])
    if "enum" in place:
        return "one of " + ", ".join(str(choice) for choice in place["enum"])
    match place.get("type"):
        case "integer":
            least, most = place.get("minimum"), place.get("maximum")
            return "a whole number" + (f" from {least} to {most}" if least is not None else "")
        case "boolean":
            return "true or false (without quotes)"
        case "array":
            if "minItems" in place:
                return f"a list of {place['minItems']} or more"
            return f"a list of at most {place['maxItems']}" if "maxItems" in place else "a list"
        case "object":
            return "a map of settings"
        case "string" if "maxLength" in place:
            return f"text of {place.get('minLength', 0)} to {place['maxLength']} characters"
        case "string" if "minLength" in place:
            return f"text of {place['minLength']} or more characters"
    return "text"


def _example(place: Mapping[str, Any]) -> str:
    examples = place.get("examples")
    if not examples or "enum" in place or "const" in place:
        return ""
    return f", for example {json.dumps(examples[0], ensure_ascii=False)}"
