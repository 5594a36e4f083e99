"""`-m`: several values of a key, a study of each combination."""

import itertools
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modules.config.overrides import Typed, groups, read
from modules.config.spaces import counted
from modules.errors import ConfigError
from modules.parts import CONF

_MAX_STUDIES = 10_000


def expand_multirun(overrides: Sequence[str], conf: Path = CONF) -> list[list[str]]:
    """The studies that -m asks for: every combination of the values given, in the order in which they were typed."""
    typed = read(overrides)
    axes = [_values(one, conf) for one in typed]
    total = math.prod(len(axis) for axis in axes)
    if total > _MAX_STUDIES:
        raise ConfigError(f"-m asks for {total} studies; allowed are at most {_MAX_STUDIES}")
    names = next((axis for one, axis in zip(typed, axes, strict=True) if one.key == "study"), None)
    if names is not None and total > len(names):
        named = "one study" if len(names) == 1 else f"{len(names)} studies"
        raise ConfigError(f"study= names {named}, and -m asks for {total}; allowed is -m without study=")
    return [list(combination) for combination in itertools.product(*axes)]


def _values(one: Typed, conf: Path) -> list[str]:
    """An override for each value, those that were typed twice once."""
    from hydra.core.override_parser.types import Glob

    if not one.parsed.is_sweep_override():
        return [one.text]
    if one.parsed.is_interval_sweep():
        raise ConfigError(f"{one.text}: an interval cannot be counted; allowed are a,b,c and range(start,stop,step)")
    held: Any = one.parsed.value()
    if isinstance(held, Glob):
        names = held.filter(groups(conf).get(one.key, []))
    elif one.parsed.is_range_sweep():
        names = [str(value) for value in itertools.islice(counted(held), _MAX_STUDIES + 1)]
        if held.shuffle:
            random.shuffle(names)
    else:
        names = list(one.parsed.sweep_string_iterator())
    if not names:
        raise ConfigError(f"{one.text} holds no value; allowed is at least one")
    return [f"{one.key}={name}" for name in dict.fromkeys(names)]
