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
from pydantic_core import ErrorDetails

from components.settings import checks
from components.settings.model import SECRETS, Settings
from components.settings.problems import HIDDEN, NotAcceptedError, Problem, SettingsError

PREFIX: Final = "ci:"
"""What every key of this project begins with in a stack's config."""

_TEXT_KEYS: Final = {"platform", *SECRETS}
"""Keys whose value is text as it stands; every other key's value is JSON."""

Survey = Callable[[Settings], Iterable[Problem]]
"""Looks at the host that the settings name, and gives what stands in the way. It changes nothing."""

_Location = tuple[int | str, ...]


def _nothing(_: Settings) -> Iterable[Problem]:
    return ()


def load(survey: Survey = _nothing) -> Settings:
    """Give the stack's settings, typed and frozen.

    Raises SettingsError, which lists every problem of the config, of what lies between two settings, and of the host
    as `survey` finds it. No resource may be registered before this returns.
    """
    config = runtime_config.CONFIG.get()
    raw = {key.removeprefix(PREFIX): value for key, value in config.items() if key.startswith(PREFIX)}
    secret = frozenset(key for key in raw if runtime_config.is_config_secret(f"{PREFIX}{key}"))
    settings, problems = read(raw, secret, survey)
    if problems or settings is None:
        raise SettingsError(pulumi.get_stack(), problems)
    return settings


def read(
    raw: Mapping[str, str], secret: frozenset[str], survey: Survey = _nothing
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
            values[key] = json.loads(text)
        except ValueError:
            values[key] = text  # the model says what it should have been
    problems.extend(_plain_secret(key) for key in SECRETS if key in values and key not in secret)

    settings = None
    wrong: set[_Location] = set()
    try:
        settings = Settings.model_validate_json(json.dumps(values))
    except ValidationError as error:
        details = error.errors(include_url=False)
        problems.extend(_problem(detail, secret) for detail in details)
        wrong = {detail["loc"] for detail in details}
        settings = _with_defaults_for(wrong, values)
    if settings is not None:
        also = [*checks.between(settings), *(() if ("platform",) in wrong else survey(settings))]
        problems.extend(problem for problem in also if not _concerns(problem.key, wrong))
    return settings, problems


def _plain_secret(key: str) -> Problem:
    return Problem(
        key=f"{PREFIX}{key}",
        wrong="stands in the stack's file in clear",
        instead=f"change it where it is used, then set the new one with `pulumi config set --secret {PREFIX}{key}`",
    )


def _with_defaults_for(wrong: set[_Location], values: Mapping[str, Any]) -> Settings | None:
    pruned = json.loads(json.dumps(values)) | ({"platform": "docker"} if ("platform",) in wrong else {})
    # The last entry of a list first, so that the places of those before it stay true.
    for location in sorted(wrong, key=lambda place: [str(part).rjust(9, "0") for part in place], reverse=True):
        if location != ("platform",):
            _remove(pruned, location)
    try:
        return Settings.model_validate_json(json.dumps(pruned))
    except ValidationError:
        return None


def _remove(values: Any, location: _Location) -> None:  # noqa: ANN401 - any JSON
    *parents, last = location
    for part in parents:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return
    if location[:-1] == ("jobs",):
        values[last] = {
            "name": f"removed-{last}",
            "script": "-",
        }  # not deleted: the places of the others are in their keys
    elif isinstance(values, list) and isinstance(last, int):
        del values[last]
    elif isinstance(values, dict):
        values.pop(last, None)
        if parents and parents[0] == "jobs":
            # A job cannot do without these two, so each has a text in its place.
            values.update({"name": {"name": f"removed-{parents[-1]}"}, "script": {"script": "-"}}.get(str(last), {}))


def _concerns(key: str, wrong: set[_Location]) -> bool:
    return any(key == _key(place) or key.startswith((f"{_key(place)}.", f"{_key(place)}[")) for place in wrong)


def _key(location: _Location) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else f"{PREFIX}{part}"
    return text


def _problem(detail: ErrorDetails, secret: frozenset[str]) -> Problem:
    location = detail["loc"]
    key = _key(location)
    top = str(location[0])
    hidden = top in secret or top in SECRETS or location[-1] == "script" or detail["type"] == "missing"
    value = HIDDEN if hidden else _without_credentials(detail["input"])
    place = _place(location)
    if detail["type"] == "extra_forbidden":
        return _unknown(key, location)
    if detail["type"] == "missing":
        return Problem(key=key, wrong="is missing", instead=f"give {_accepted(place)}{_example(place)}")
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, NotAcceptedError):
        return Problem(key=key, value=value, wrong=cause.wrong, instead=f"{cause.instead}{_example(place)}")
    if top in SECRETS:
        return Problem(key=key, wrong="is not text", instead=f"set it with `pulumi config set --secret {key}`")
    meant = ""
    if "enum" in place and isinstance(detail["input"], str):
        meant = _nearest(detail["input"], [str(choice) for choice in place["enum"]])
    wrong = f"is {_kind(detail['input'])}" if _is_of_another_kind(detail["type"]) else "is not accepted"
    return Problem(key=key, value=value, wrong=wrong, instead=f"give {_accepted(place)}{meant or _example(place)}")


def _without_credentials(value: object) -> object:
    return re.sub(r"//[^/@]*@", "//(hidden)@", value) if isinstance(value, str) else value


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
            return f"a list of at most {place['maxItems']}" if "maxItems" in place else "a list"
        case "object":
            return "a map of settings"
        case "string" if "maxLength" in place:
            return f"text of {place.get('minLength', 0)} to {place['maxLength']} characters"
    return "text"


def _example(place: Mapping[str, Any]) -> str:
    examples = place.get("examples")
    if not examples or "enum" in place or "const" in place:
        return ""
    return f", for example {json.dumps(examples[0], ensure_ascii=False)}"
