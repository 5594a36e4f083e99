"""`-m`: several values of a key, a study of each combination."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modules.config.overrides import Typed, groups, read
from modules.errors import ConfigError
from modules.parts import CONF

_MAX_STUDIES = 10_000


def expand_sweep(overrides: Sequence[str], conf: Path = CONF) -> list[list[str]]:
    """The studies a sweep asks for: every combination of the values given, in the order in which they were typed."""
    typed = read(overrides)
    axes = [_values(one, conf) for one in typed]
    total = math.prod(len(axis) for axis in axes)
    if total > _MAX_STUDIES:
        raise ConfigError(f"the sweep asks for {total} studies; allowed are at most {_MAX_STUDIES}")
    swept = [one.key for one in typed if one.parsed.is_sweep_override()]
    if total > 1 and "study" not in swept and any(text.startswith("study=") for text in overrides):
        raise ConfigError(f"study= names one study, and -m asks for {total}; allowed is -m without study=")
    return [list(combination) for combination in itertools.product(*axes)]


def _values(one: Typed, conf: Path) -> list[str]:
    from hydra.core.override_parser.types import Glob

    if not one.parsed.is_sweep_override():
        return [one.text]
    if one.parsed.is_interval_sweep():
        raise ConfigError(f"{one.text}: an interval cannot be counted; allowed are a,b,c and range(start,stop,step)")
    held: Any = one.parsed.value()
    if isinstance(held, Glob):
        names = held.filter(groups(conf).get(one.key, []))
    else:
        names = list(itertools.islice(one.parsed.sweep_string_iterator(), _MAX_STUDIES + 1))
    if not names:
        raise ConfigError(f"{one.text} holds no value; allowed is at least one")
    return [f"{one.key}={name}" for name in names]
