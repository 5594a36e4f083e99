"""Building the components that yamls name."""

import importlib
import re
from functools import cache
from pathlib import Path
from typing import Any

from modules.errors import ConfigError
from modules.records import Part

CONF = Path(__file__).resolve().parent.parent / "conf"
_TARGET = re.compile(r"^\s*_target_:\s*([\w.]+)\s*$", re.MULTILINE)
_REVISION = re.compile(r"^REVISION = (\d+)\b", re.MULTILINE)


@cache
def allowed_targets() -> frozenset[str]:
    """Every `_target_` of the yamls that come with the program: nothing else is ever called by name."""
    return frozenset(target for path in CONF.rglob("*.yaml") for target in _TARGET.findall(path.read_text()))


def build(part: Part, *positional: Any, **extra: Any) -> Any:
    """Call what the part names with its arguments and `extra`."""
    return resolve(part.target)(*positional, **part.arguments, **extra)


def resolve(target: str) -> Any:
    """The class or function behind an allowed import path; ConfigError for any other path."""
    if target not in allowed_targets():
        raise ConfigError(f"_target_ {target!r} is not one that this program ships; allowed are those named in conf/")
    module, _, name = target.rpartition(".")
    return getattr(importlib.import_module(module), name)


@cache
def revision_of(module: str) -> int:
    """The `REVISION` that a module carries, read from its source: asking imports nothing."""
    path = CONF.parent.joinpath(*module.split(".")).with_suffix(".py")
    found = _REVISION.search(path.read_text())
    if found is None:
        raise LookupError(f"{module} carries no REVISION")
    return int(found[1])
