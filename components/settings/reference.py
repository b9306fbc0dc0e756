"""Generates the JSON Schema of stack files, and the settings reference.

`python -m components.settings.reference` writes both. With `--check` it writes nothing, and fails if one is outdated.
"""

import ast
import itertools
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic.alias_generators import to_camel

from .load import PREFIX
from .model import SECRET_MAPS, SECRETS, Settings

ROOT: Final = Path(__file__).resolve().parents[2]
SCHEMA: Final = ROOT / "stacks" / "schema.json"
SETTINGS: Final = ROOT / "docs" / "reference" / "settings.md"

_Schema = Mapping[str, Any]


def schema() -> str:
    """Return the JSON Schema of a stack file, for editors."""
    model = _model()
    secret = {"type": "object", "required": ["secure"], "properties": {"secure": {"type": "string"}}}
    keys: dict[str, Any] = {}
    for name, node in model["properties"].items():
        key = f"{PREFIX}{name}"
        kind = {"type": "object", "additionalProperties": secret} if name in SECRET_MAPS else secret
        keys[key] = {**kind, "description": node["description"]} if name in SECRETS else node
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A stack of the project ci",
        "type": "object",
        "properties": {
            "secretsprovider": {"type": "string"},
            "encryptedkey": {"type": "string"},
            "encryptionsalt": {"type": "string"},
            "environment": {"type": "array"},
            "config": {
                "type": "object",
                "properties": keys,
                "required": [f"{PREFIX}{name}" for name in model["required"]],
                # Keys of other projects and providers are allowed; this project's own are all known.
                "patternProperties": {f"^(?!{PREFIX}).*:": {}},
                "additionalProperties": False,
            },
        },
        "additionalProperties": False,
        "$defs": model["$defs"],
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _model() -> dict[str, Any]:
    """Return pydantic's schema, with each field's docstring as its description, or else that of the section it holds.

    pydantic's own use_attribute_docstrings does that too, but at every start, for 50 ms.
    """
    model = Settings.model_json_schema()
    texts: dict[str, dict[str, str]] = {}
    for path in Path(__file__).parent.glob("*.py"):
        for section in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(section, ast.ClassDef):
                texts[section.name] = _docstrings(section)
                for base in section.bases:
                    texts[section.name] |= texts.get(ast.unparse(base), {})
    for name, section in {"Settings": model, **model["$defs"]}.items():
        for key, node in section["properties"].items():
            held = _section(node, model["$defs"]) or {}
            text = texts[name].get(key) or node.get("description") or held["description"]
            section["properties"][key] = dict(sorted({**node, "description": text}.items()))
    return model


def _docstrings(section: ast.ClassDef) -> dict[str, str]:
    """Return the docstrings of a section's fields by their keys, each on one line."""
    return {
        to_camel(ast.unparse(field.target)): " ".join(ast.literal_eval(text.value).split())
        for field, text in itertools.pairwise(section.body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }


def reference() -> str:
    """Return the page that describes every setting."""
    return "\n".join(_reference()) + "\n"


def _reference() -> Iterator[str]:
    model = _model()
    yield "# Settings"
    yield ""
    yield "Generated from components/settings by `make reference`; change it there. `[]` is each entry of a list."
    yield ""
    yield "A stack's settings are the `config` of its file in `stacks/`. `ci:jenkins.httpPort` is the key `httpPort`"
    yield "under `ci:jenkins:` there. To change it by a command: `make set KEY=ci:jenkins.httpPort`, or by plain"
    yield "Pulumi, `pulumi config set --path ci:jenkins.httpPort 8081`; to remove it: `pulumi config rm --path KEY`."
    yield "A wrong or unknown setting is refused before anything is made, with what is accepted instead."
    yield ""
    yield "## The keys"
    yield ""
    yield from _table(PREFIX, model["properties"], model["required"], model["$defs"])
    yield from _sections(PREFIX, model["properties"], model["$defs"])


def _sections(parent: str, properties: _Schema, definitions: _Schema) -> Iterator[str]:
    for name, node in properties.items():
        section = _section(node, definitions)
        if section is None:
            continue
        path = f"{parent}{name}" + ("[]" if _shape(node).get("type") == "array" else "")
        yield ""
        yield f"## {path}"
        yield ""
        yield section["description"]
        yield ""
        yield from _table("", section["properties"], section.get("required", ()), definitions)
        yield from _sections(f"{path}.", section["properties"], definitions)


def _section(node: _Schema, definitions: _Schema) -> _Schema | None:
    shape = _shape(node)
    reference_to = shape.get("$ref") or shape.get("items", {}).get("$ref")
    return definitions[reference_to.rpartition("/")[2]] if reference_to else None


def _shape(node: _Schema) -> _Schema:
    """Return what is accepted besides null."""
    choices = [choice for choice in node.get("anyOf", ()) if choice.get("type") != "null"]
    return choices[0] if choices else node


def _table(prefix: str, properties: _Schema, required: Any, definitions: _Schema) -> Iterator[str]:  # noqa: ANN401
    yield "| setting | what may be written | default | |"
    yield "| --- | --- | --- | --- |"
    for name, node in properties.items():
        default = "required" if name in required else _default(node)
        description = node.get("description", "").replace("|", "\\|")
        yield f"| `{prefix}{name}` | {_kind(name, node, definitions)} | {default} | {description} |"


def _default(node: _Schema) -> str:
    if node.get("default") in (None, [], "") or "default" not in node:
        return ""
    return f"`{json.dumps(node['default'], ensure_ascii=False)}`"


def _kind(name: str, node: _Schema, definitions: _Schema) -> str:
    if name in SECRETS:
        return "a map of secrets" if name in SECRET_MAPS else "a secret"
    shape = _shape(node)
    if "$ref" in shape:
        return "a map, below"
    if "enum" in shape or "const" in shape:
        return ", ".join(f"`{choice}`" for choice in shape.get("enum", [shape.get("const")]))
    match shape.get("type"):
        case "integer":
            text = f"{shape['minimum']} to {shape['maximum']}"
        case "boolean":
            text = "`true`, `false`"
        case "array":
            text = "a list, below" if _section(shape, definitions) else "a list of text"
        case "object":
            text = "a map of text"
        case _:
            text = "text"
    return text + (", `null`" if "anyOf" in node and node.get("default") is not None else "")


def main() -> int:
    """Write both files, or with `--check` name the outdated ones. Returns the exit code."""
    written = {SCHEMA: schema(), SETTINGS: reference()}
    late = [path for path, text in written.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in late:
            sys.stderr.write(f"{path.relative_to(ROOT)} is outdated: run `make reference`\n")
        return 1 if late else 0
    for path in late:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(written[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
