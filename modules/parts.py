"""Building the components that yamls name."""

import importlib
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from modules.errors import ConfigError
from modules.records import Part

CONF = Path(__file__).resolve().parent.parent / "conf"
_TARGET = re.compile(r"^\s*_target_:\s*([\w.]+)\s*$", re.MULTILINE)
_REVISION = re.compile(r"^REVISION = (\d+)\b", re.MULTILINE)
_IMPORT = re.compile(r"^ *from (modules[\w.]*) import ([^(\n]+|\([^)]*\))", re.MULTILINE)


@cache
def allowed_targets() -> frozenset[str]:
    """Every `_target_` of the yamls that come with the program: nothing else is ever called by name."""
    return targets_in(CONF.rglob("*.yaml"))


def targets_in(yamls: Iterable[Path]) -> frozenset[str]:
    """Every `_target_` that some yamls name."""
    return frozenset(target for path in yamls for target in _TARGET.findall(path.read_text()))


def build(part: Part, *positional: Any, **extra: Any) -> Any:
    """Call what the part names with its arguments and `extra`."""
    return resolve(part.target)(*positional, **part.arguments, **extra)


def resolve(target: str) -> Any:
    """The class or function behind an allowed import path; ConfigError for any other path."""
    if target not in allowed_targets():
        raise ConfigError(f"_target_ {target!r} is not one that this program ships; allowed are those named in conf/")
    module, _, name = target.rpartition(".")
    return getattr(importlib.import_module(module), name)


def argument_schema(target: str) -> dict[str, dict[str, Any]]:
    """What the first yaml of a target says about its arguments; nothing where none does."""
    return next((schema for found, schema in _schemas() if found == target), {})


@cache
def _schemas() -> tuple[tuple[str, dict[str, dict[str, Any]]], ...]:
    return tuple(
        (node["_target_"], node.get("_schema_") or {})
        for path in sorted(CONF.rglob("*.yaml"))
        for node in _nodes(yaml.safe_load(path.read_text()))
    )


def _nodes(level: Any) -> Iterator[dict[str, Any]]:
    """The parts of a yaml, at any depth."""
    if isinstance(level, dict):
        if "_target_" in level:
            yield level
        for inner in level.values():
            yield from _nodes(inner)


def revisions_of(*modules: str) -> dict[str, int]:
    """The `REVISION`s that modules and all they import carry, by module, read from their sources: nothing is imported.

    A part that is built from a yaml is imported by nobody, so name its module too.
    """
    found: dict[str, int | None] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found[module], imported = _revision_and_imports(module)
            waiting.extend(imported)
    return {module: revision for module, revision in sorted(found.items()) if revision is not None}


@cache
def _revision_and_imports(module: str) -> tuple[int | None, tuple[str, ...]]:
    text = _source_of(module).read_text()
    revision = _REVISION.search(text)
    imported = []
    for package, names in _IMPORT.findall(text):
        inner = [f"{package}.{name}" for name in re.findall(r"\w+", names) if _exists(f"{package}.{name}")]
        imported.extend(inner or [package])
    return int(revision[1]) if revision else None, tuple(imported)


def _source_of(module: str) -> Path:
    path = CONF.parent.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _exists(module: str) -> bool:
    return _source_of(module).exists()
