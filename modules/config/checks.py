"""Checks of values, and the sentences that say what was wrong, what came and what is allowed."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from modules.config.settings import NAME_PATTERN, Settings
from modules.errors import ConfigError, did_you_mean

_TYPES: dict[str, tuple[type, ...]] = {"float": (int, float), "int": (int,), "bool": (bool,), "str": (str,)}
_JSON_TYPES = {"float": "number", "int": "integer", "bool": "boolean", "str": "string"}
_PLAIN = re.compile(r"(?!(null|true|false|[-+.\d]+)$)\S+", re.IGNORECASE)
_LONGEST = 80
_NOUNS = {"number": "a number", "integer": "a whole number", "boolean": "true or false", "string": "a text"}


def unknown(what: str, name: object, allowed: Iterable[str]) -> ConfigError:
    """The error for a name that is none of `allowed`: says the nearest ones where there are any, and all of them."""
    choices = sorted(allowed)
    hint = did_you_mean(str(name), choices, most=2)
    return ConfigError(f"unknown {what} {shown(name)}: {hint}allowed: {', '.join(choices) or 'nothing here'}")


def shown(value: object) -> str:
    """A value as a person would type it; in quotes where it would be taken for something else."""
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return repr(text) if isinstance(value, str) and not _PLAIN.fullmatch(value) else text


def check_argument(key: str, value: Any, schema: Mapping[str, Any]) -> None:
    """Refuse a part's argument that its yaml's `_schema_` does not allow."""
    if value is None and schema.get("optional"):
        return
    many = "count" in schema
    if many and not isinstance(value, list):
        raise _refused(key, value, schema)
    values = value if many else [value]
    if (many and len(values) not in _counts(schema)) or not all(_fits(item, schema) for item in values):
        raise _refused(key, value, schema)


def _counts(schema: Mapping[str, Any]) -> range:
    """How many entries a list may have: `count` is a number, or the fewest and the most."""
    count = schema["count"]
    fewest, most = (count["min"], count["max"]) if isinstance(count, Mapping) else (count, count)
    return range(fewest, most + 1)


def _fits(value: Any, schema: Mapping[str, Any]) -> bool:
    kind = schema["type"]
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "bool"):
        return False
    if isinstance(value, float) and not math.isfinite(value):
        return False
    if "choices" in schema and value not in schema["choices"]:
        return False
    return not (("min" in schema and value < schema["min"]) or ("max" in schema and value > schema["max"]))


def _refused(key: str, value: Any, schema: Mapping[str, Any]) -> ConfigError:
    words: dict[str, Any] = {"type": _JSON_TYPES[schema["type"]]}
    words |= {word: schema[name] for name, word in (("min", "minimum"), ("max", "maximum")) if name in schema}
    if "choices" in schema:
        words = {"enum": schema["choices"]}
    allowed = described(words)
    if "count" in schema:
        counts = _counts(schema)
        number = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        allowed = f"a list of {number}, each {allowed}"
    if schema.get("optional"):
        allowed += " or null"
    return ConfigError(f"{key} must be {allowed}; got {shown(value)}")


def sentence(error: ValidationError) -> str:
    """The first thing that pydantic found wrong with the settings, in one sentence."""
    first = error.errors(include_url=False)[0]
    location = [str(step) for step in first["loc"]]
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    schema = Settings.model_json_schema()
    definitions = schema["$defs"]
    path: list[str] = []
    for step in location:
        inner = _followed(schema, definitions).get("properties", {})
        if step not in inner:
            break
        schema, path = inner[step], [*path, step]
    key = ".".join(path)
    if first["type"] == "extra_forbidden":
        allowed = _followed(schema, definitions).get("properties", {})
        return str(unknown("key", ".".join(location), [".".join([*path, name]) for name in allowed]))
    if first["type"] == "missing":
        return f"{'.'.join(location)} is missing; allowed: {described(_followed(schema, definitions))}"
    return f"{key} must be {described(_followed(schema, definitions))}; got {shown(first['input'])}"


def _followed(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    return definitions[reference.rpartition("/")[2]] if reference else schema


def described(schema: Mapping[str, Any]) -> str:
    """What a JSON schema of one value allows, in words."""
    if "anyOf" in schema:
        return " or ".join(described(choice) for choice in schema["anyOf"])
    if schema.get("pattern") == NAME_PATTERN:
        return "a name of up to 100 letters, digits, '.', '_' and '-' that begins with a letter or digit"
    if "const" in schema or "enum" in schema:
        choices = [shown(choice) for choice in schema.get("enum", [schema.get("const")])]
        return choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"
    kind = schema.get("type", "object")
    if kind == "null":
        return "null"
    if kind == "array":
        least = f" of at least {schema['minItems']}" if "minItems" in schema else ""
        return f"a list{least}, each {described(schema['items'])}"
    divisor = f" that {schema['multipleOf']} divides" if "multipleOf" in schema else ""
    return f"{_NOUNS.get(kind, 'a section with keys')}{_range(schema)}{divisor}"


def _range(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if schema.get("type") == "integer" and "exclusiveMaximum" in schema:
        high = schema["exclusiveMaximum"] - 1
    if low is not None and high is not None:
        return f" from {low} to {high}" if low != high else f" equal to {low}"
    bounds = [
        f"{word} {bound:g}"
        for word, bound in (
            ("of at least", low),
            ("above", schema.get("exclusiveMinimum")),
            ("of at most", high),
            ("below", schema.get("exclusiveMaximum")),
        )
        if bound is not None
    ]
    return f" {' and '.join(bounds)}" if bounds else ""
