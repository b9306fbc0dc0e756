"""Reads a stack's config into `Settings` in three steps, or shows every problem that a step found.

1. Each field by itself. 2. Rules between settings, if step 1 found nothing. 3. Preflight on the host or the cluster, if
steps 1 and 2 found nothing. So nothing is ever asked of a host with a value that the user did not write.
"""

import difflib
import functools
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import pulumi
from pulumi.runtime import config as runtime_config
from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json, to_json

from . import checks
from .model import SECRET_MAPS, SECRETS, Settings
from .problems import HIDDEN, MOST_PROBLEMS, Code, NotAcceptedError, Problem, SettingsError

PREFIX: Final = "ci:"
"""What every key of this project begins with in a stack's config."""

_TEXT_KEYS: Final = {"platform", *SECRETS} - {*SECRET_MAPS}
"""Keys whose value is plain text. Every other key's value is JSON."""

_HIDDEN_PARTS: Final = {"script", "users", "passwordHash"}
"""Settings that are no secrets, but where a secret may be typed by mistake. No message shows their values."""

Preflight = Callable[[Settings], Iterable[Problem]]
"""Looks at the host or cluster that the settings name, and returns what blocks the deployment. Changes nothing."""

_TOLD: Final = 32
"""The exit status that Pulumi's language host takes for "the user was told": it adds no error of its own."""

_Location = tuple[int | str, ...]
_Node = Mapping[str, Any]


def load(preflight: Preflight = lambda _: ()) -> Settings:
    """Return the stack's settings, typed and frozen. Register no resource before this returns.

    If a step finds problems, shows all of them and ends the program.
    """
    config = runtime_config.CONFIG.get()
    raw = {key.removeprefix(PREFIX): value for key, value in config.items() if key.startswith(PREFIX)}
    secret = frozenset(key for key in raw if runtime_config.is_config_secret(f"{PREFIX}{key}"))
    settings, problems = read(raw, secret, preflight)
    if settings is None:
        pulumi.log.error(str(SettingsError(pulumi.get_stack(), problems)))
        sys.exit(_TOLD)
    return settings


def read(
    raw: Mapping[str, str], secret: frozenset[str], preflight: Preflight = lambda _: ()
) -> tuple[Settings | None, Sequence[Problem]]:
    """Return the settings, or None and the problems, from the values by key (without `ci:`).

    secret: the keys whose values are encrypted in the stack's file.
    """
    problems = [_secret_in_clear(key) for key in SECRETS if key in raw and key not in secret]
    values = {key: text if key in _TEXT_KEYS else _decoded(text) for key, text in raw.items()}
    try:
        settings = Settings.model_validate_json(to_json(values), by_alias=True, by_name=False)
    except ValidationError as error:
        details = error.errors()
        return None, [*problems, *(_problem(detail, secret) for detail in details[:MOST_PROBLEMS])]
    problems = problems or list(checks.between(settings)) or list(preflight(settings))
    return (None if problems else settings.approved()), problems


def check(settings: Settings, preflight: Preflight) -> None:
    """Raise SettingsError if a program's own settings break a rule, or the host or cluster blocks their deployment.

    Those that `read` returned have passed both.
    """
    if not settings.is_approved and (found := list(checks.between(settings)) or list(preflight(settings))):
        raise SettingsError(pulumi.get_stack(), found)


def _decoded(text: str) -> object:
    try:
        return from_json(to_json([from_json(text)]))[0]  # with the one level that the whole adds
    except ValueError:
        return text  # no JSON, or nested too deep: the model says what it should have been


def _secret_in_clear(key: str) -> Problem:
    return Problem(
        f"{PREFIX}{key}",
        "secret_in_clear",
        "is not encrypted in the stack's file",
        f"replace the secret where it is used, then set the new one with `pulumi config set --secret {PREFIX}{key}`",
    )


def _problem(detail: ErrorDetails, secret: frozenset[str]) -> Problem:
    kind, seen = detail["type"], detail["input"]
    # pydantic marks the key of a map as wrong with "[key]", and names a choice of its own in unions.
    location = detail["loc"][:-1] if detail["loc"][-1:] == ("[key]",) else detail["loc"]
    key, node = _key(location), _node(location)
    if kind == "extra_forbidden":
        return _unknown(key, location)
    if kind == "missing":
        return Problem(key, "missing", "is missing", f"give {_accepted(node)}{_example(node)}")
    hidden = location[0] in secret or location[0] in SECRETS or not _HIDDEN_PARTS.isdisjoint(location)
    value = HIDDEN if hidden else _without_credentials(seen)
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, NotAcceptedError):
        example = _example(node) if re.match("give(?!.*for example)", cause.instead) else ""
        command = "--secret --path KEY" if "." in key else "--secret KEY"
        instead = cause.instead.replace("--secret KEY", command).replace("KEY", key)
        return Problem(key, cause.code, cause.wrong, f"{instead}{example}", value)
    return Problem(key, *_told(kind, seen, detail, node), value)


def _told(kind: str, seen: object, detail: ErrorDetails, node: _Node) -> tuple[Code, str, str]:
    """Return code, `wrong` and `instead` of an error that pydantic found by itself."""
    if kind in {"string_too_long", "too_long"}:
        return "not_accepted", "is too long", f"give at most {detail['ctx']['max_length']} characters or entries"
    meant = _nearest(seen, map(str, node["enum"])) if "enum" in node and isinstance(seen, str) else ""
    instead = f"give {_accepted(node)}{meant or _example(node)}"
    if kind.endswith("_type") or kind in {"int_from_float", "int_parsing"}:
        return "wrong_type", f"is {_type_name(seen)}", instead
    return "not_accepted", "is not accepted", instead


def _key(location: _Location) -> str:
    """Write a location as the user types it: ("jobs", 0, "name") as `ci:jobs[0].name`."""
    return PREFIX + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)[1:]


def _unknown(key: str, location: _Location) -> Problem:
    *parent, name = location
    top, dot, inner = str(name).partition(".")
    if dot and not parent and top in _schema()["properties"]:
        return Problem(key, "unknown_key", "is written as one key", f"write {inner}: below {PREFIX}{top}:, indented")
    known = [f"{PREFIX}{name}" if not parent else name for name in _node(tuple(parent)).get("properties", {})]
    meant = _nearest(f"{'' if parent else PREFIX}{name}", known)
    simple = re.fullmatch(r"[\w:.\[\]-]+", key)
    command = f" (`pulumi config rm {'--path ' if parent else ''}'{key}'`)" if simple else ""
    instead = f"remove it{command}, or use one of {', '.join(known)}{meant}"
    return Problem(key, "unknown_key", "is not a setting", instead)


def _nearest(word: str, known: Iterable[str]) -> str:
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word[:100].lower(), by_lower, n=1, cutoff=0.6)
    return f" (did you mean {by_lower[near[0]]}?)" if near else ""


def _without_credentials(value: object) -> object:
    """Return a value as a message may show it: no login in an address, nothing of what `_HIDDEN_PARTS` names."""
    if isinstance(value, str):
        return re.sub(r"//[^/@]*@", "//(hidden)@", value)
    if isinstance(value, list):
        return [_without_credentials(entry) for entry in value]
    if isinstance(value, dict):
        return {key: "(hidden)" if key in _HIDDEN_PARTS else _without_credentials(part) for key, part in value.items()}
    return value


def _type_name(value: object) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list", dict: "a map"}
    return names.get(type(value), "empty")


@functools.cache
def _schema() -> _Node:
    return Settings.model_json_schema()


def _node(location: _Location) -> _Node:
    """Return the JSON Schema at a location. It is the one description of what is accepted there."""
    node = _schema()
    for part in location:
        inner = node.get("items", {}) if isinstance(part, int) else node.get("properties", {}).get(part, {})
        node = _resolved(inner)
    return node


def _resolved(node: _Node) -> _Node:
    """Return what a node leads to, with the node's own example and default."""
    outer = {name: node[name] for name in ("examples", "default") if name in node}
    node = next((choice for choice in node.get("anyOf", ()) if choice.get("type") != "null"), node)
    if "$ref" in node:
        node = _schema()["$defs"][node["$ref"].rpartition("/")[2]]
    return {**node, **outer}


def _accepted(node: _Node) -> str:  # noqa: PLR0911 - a table
    if "const" in node:
        return str(node["const"])
    if "enum" in node:
        return "one of " + ", ".join(str(choice) for choice in node["enum"])
    match node.get("type"):
        case "integer":
            return f"a whole number from {node['minimum']} to {node['maximum']}"
        case "boolean":
            return "true or false (without quotes)"
        case "array" if "minItems" in node:
            return f"a list of {node['minItems']} or more"
        case "array":
            return "a list"
        case "object":
            return "a map of settings"
        case "string" if "minLength" in node:
            return f"text of {node['minLength']} or more characters"
        case "string" if "pattern" in node:
            return "text of this form"
    return "text"


def _example(node: _Node) -> str:
    example = _sample(node)
    if example in (None, [], {}, "") or "enum" in node or "const" in node or node.get("type") == "boolean":
        return ""
    return f", for example {json.dumps(example)}"


def _sample(node: _Node) -> object:
    """Return a value that is accepted at a node: of a section, what it cannot do without, or else its first setting."""
    if "examples" in node or node.get("default") or "properties" not in node:
        return (node.get("examples") or [node.get("default", next(iter(node.get("enum", [None]))))])[0]
    values = {name: _sample(_resolved(inner)) for name, inner in node["properties"].items()}
    needed = {name: values[name] for name in node.get("required", ())}
    return needed or dict([each for each in values.items() if each[1] not in (None, [], {}, "")][:1])
