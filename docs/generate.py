"""The reference of the documentation: every key of conf/ and every command, read from where they are declared.

A hook of mkdocs, which hands the pages to it; nothing is written into docs/.
"""

import argparse
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from flows.commands import COMMANDS
from modules.config import Settings
from modules.config.overrides import UNCHOSEN
from modules.parts import CONF

_COMMENT = re.compile(r"^\s*(\w+):.*?\s#\s(.*)$", re.MULTILINE)
_HIDDEN = ("_target_", "_schema_", "defaults", "kind", "name")
_SHOWN = ("data.name",)  # all the same: what data and model are called is for people to say
_AS_THEY_ARE = ("experiment", "space")  # whose keys are those of other groups
_WORDS = {"int": "whole number", "integer": "whole number", "float": "number", "bool": "true, false", "str": "text"}
_WORDS |= {"number": "number", "boolean": "true, false", "string": "text", "null": "null"}


class Key(NamedTuple):
    """A key with its value in a yaml, what it may be, and what the yaml says about it."""

    name: str
    value: Any
    allowed: str
    what: str


def pages() -> dict[str, str]:
    """The generated pages by their path in the site."""
    return {"reference/keys.md": keys_page(), "reference/commands.md": commands_page()}


def keys_page(conf: Path = CONF) -> str:
    """A section a group, and in it one for each of its yamls."""
    top = yaml.safe_load((conf / "config.yaml").read_text())
    chosen = {group: choice for entry in top["defaults"] if isinstance(entry, dict) for group, choice in entry.items()}
    text = [
        "# Every key",
        "",
        "Read from `conf/` when this page was built. `espalier config KEY=VALUE …` prints what they resolve to.",
        "",
        "## The study",
        "",
        *_table(keys_of(conf / "config.yaml")),
    ]
    for folder in sorted(path for path in conf.iterdir() if path.is_dir() and any(path.glob("*.yaml"))):
        text += ["", f"## `{folder.name}`", ""]
        text += [_chosen_how(folder.name, chosen)]
        for path in sorted(folder.glob("*.yaml")):
            text += ["", f"### `{folder.name}={path.stem}`", "", *_choice(path)]
    return "\n".join(text) + "\n"


def _chosen_how(group: str, chosen: Mapping[str, str | None]) -> str:
    if group in UNCHOSEN:
        return f"Chosen by `{'search.edits' if group == 'edit' else 'search.space'}`."
    if group not in chosen:
        return "Described here for those keys of other groups that name one."
    return f"`{group}=NAME` chooses one; the default is `{chosen[group] or 'null'}`."


def _choice(path: Path) -> list[str]:
    said = _description(path)
    if path.parent.name in _AS_THEY_ARE:
        return ["```yaml", path.read_text().rstrip(), "```"]
    return [*([said, ""] if said else []), *_table(keys_of(path))]


def _description(path: Path) -> str:
    """The comment that a yaml opens with."""
    lines = []
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(lines)


def keys_of(path: Path) -> list[Key]:
    """The keys that a yaml sets, under the names by which they are overridden."""
    content = yaml.safe_load(path.read_text()) or {}
    comments = dict(_COMMENT.findall(path.read_text()))
    is_top, group = path.name == "config.yaml", path.parent.name
    prefix = "" if is_top else f"edit.{path.stem}." if group == "edit" else f"{group}."
    return [
        Key(name, value, allowed, comments.get(name.rpartition(".")[2], ""))
        for name, value, allowed in _leaves(content, prefix, None)
    ]


def _leaves(node: Mapping[str, Any], prefix: str, schema: Mapping[str, Any] | None) -> Iterator[tuple[str, Any, str]]:
    schema = node.get("_schema_", schema)
    for name, value in node.items():
        if name in _HIDDEN and f"{prefix}{name}" not in _SHOWN:
            continue
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.", schema)
        else:
            yield f"{prefix}{name}", value, _allowed(f"{prefix}{name}", (schema or {}).get(name))


def _allowed(name: str, schema: Mapping[str, Any] | None) -> str:
    """From the yaml's own schema, else from the settings."""
    if schema is None:
        return _in_words(_settings_schema(name))
    words = ", ".join(map(str, schema["choices"])) if "choices" in schema else _WORDS[schema["type"]]
    words += "".join(f" {word} {schema[end]:g}" for end, word in (("min", "from"), ("max", "to")) if end in schema)
    words += f", {schema['count']} of them" if "count" in schema else ""
    return f"{words}, null" if schema.get("optional") else words


def _settings_schema(name: str) -> Mapping[str, Any]:
    schema = Settings.model_json_schema()
    node: Mapping[str, Any] = schema
    for part in name.split("."):
        node = schema["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
        node = node.get("properties", {}).get(part, {})
    return node


def _in_words(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        each = [_in_words(one) for one in schema["anyOf"]]
        return ", ".join(each) if all(each) else ""
    if "enum" in schema or "const" in schema:
        return ", ".join(map(str, schema.get("enum", [schema.get("const")])))
    words = _WORDS.get(schema.get("type", ""), "")
    limits = {"minimum": "from {:g}", "exclusiveMinimum": "above {:g}", "maximum": "to {:g}"}
    limits["exclusiveMaximum"] = "below {:g}"
    ends = [form.format(schema[limit]) for limit, form in limits.items() if schema.get(limit, 2**63) < 2**63]
    return " ".join([words, *ends])


def _table(keys: list[Key]) -> list[str]:
    if not keys:
        return []
    rows = [f"| `{key.name}` | `{_as_typed(key.value)}` | {_cell(key.allowed)} | {_cell(key.what)} |" for key in keys]
    return ["| key | here | allowed | what |", "| --- | --- | --- | --- |", *rows]


def _as_typed(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def commands_page() -> str:
    """A section a command, from its parser."""
    text = ["# Every command", "", "`espalier COMMAND --help` says the same.", ""]
    for name, command in COMMANDS.items():
        parser = argparse.ArgumentParser(prog=f"espalier {name}", formatter_class=_Wide, add_help=False)
        command.declare(parser)
        usage = parser.format_usage().removeprefix("usage: ").rstrip()
        text += [f"## `{name}`", "", f"{command.summary[0].upper()}{command.summary[1:]}.", ""]
        text += ["```", usage, "```", "", *_arguments(parser), ""]
    return "\n".join(text)


class _Wide(argparse.HelpFormatter):
    """Lines whose length no terminal decides."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=100)


def _arguments(parser: argparse.ArgumentParser) -> list[str]:
    actions = parser._actions
    rows = [f"| `{_argument(action)}` | {_cell(action.help or '')} |" for action in actions]
    return ["| argument | what |", "| --- | --- |", *rows] if rows else []


def _argument(action: argparse.Action) -> str:
    name = ", ".join(action.option_strings) or str(action.metavar or action.dest)
    takes_a_value = action.option_strings and action.nargs != 0
    return (f"{name} {action.metavar or action.dest.upper()}" if takes_a_value else name).replace("|", "\\|")


def on_files(files: Any, config: Any) -> Any:
    """mkdocs asks which files there are."""
    from mkdocs.structure.files import File

    for path, content in pages().items():
        files.append(File.generated(config, path, content=content))
    return files
