"""Reading `key=value` as Hydra does: what was typed, checked before anything is composed."""

import itertools
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modules.config.checks import unknown
from modules.errors import ConfigError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

_LISTED_GROUPS = ("augmentation", "experiment")  # of which several can be chosen at once
_EDITS = "edit"  # all of its yamls are there at once: search.edits chooses
_SPACES = "space"  # search.space chooses
_BACKBONES = "backbone"  # pretrained chooses
UNCHOSEN = (_EDITS, _SPACES, _BACKBONES)
# Whom a study talks to is for the machine that runs it to say: with a scheduler of Dask's it exchanges pickles.
_ADDRESSES = {
    "runner.address": "a cluster of that machine's own: runner=dask or ray without an address",
    "tracking.uri": "MLFLOW_TRACKING_URI in the environment of what serves the schedule",
}


@dataclass(frozen=True)
class Typed:
    """One override: how Hydra is to read it and what it found in it."""

    text: str
    parsed: "Override"

    @property
    def key(self) -> str:
        """The key or group."""
        return str(self.parsed.key_or_group)

    @property
    def value(self) -> Any:
        """The value as plain data."""
        return self.parsed.value()


def groups(conf: Path) -> dict[str, list[str]]:
    """The groups of the configuration and the choices of each: the yamls are the registration."""
    folders = sorted(folder for folder in conf.iterdir() if folder.is_dir())
    choices = {folder.name: sorted(path.stem for path in folder.glob("*.yaml")) for folder in folders}
    return {group: names for group, names in choices.items() if names}


def read(overrides: Iterable[str]) -> list[Typed]:
    """Parse overrides; ConfigError where one is none."""
    return [_read(text) for text in overrides]


def _read(text: str) -> Typed:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    for candidate in (text, _quoted(text)):
        if candidate is None:
            break
        with suppress(HydraException):
            typed = Typed(candidate, parser.parse_override(candidate))
            if typed.key:
                return typed
    raise ConfigError(
        f"cannot read the override {text!r}: allowed is key=value, such as training.batch_size=64, "
        "data=mnist or augmentation=[shift,flip]"
    )


def _quoted(text: str) -> str | None:
    """`text` with quotes around its value, which Hydra wants for `~/photos`, other letters than a to z and more."""
    from hydra.core.override_parser.types import Quote, QuotedString

    key, equals, value = text.partition("=")
    items = value.split(",")
    if not equals or not all(items) or not re.fullmatch(r"[\w./@+~$-]+", key):
        return None
    if re.match(r"[\[{'\"]|\w+\(", value) or "${" in value:
        return None
    return f"{key}={','.join(QuotedString(item, Quote.single).with_quotes() for item in items)}"


def check(typed: Sequence[Typed], conf: Path) -> None:
    """Refuse what is wrong whatever the configuration composes to."""
    choices = groups(conf)
    for one in typed:
        _check_key(one)
        _check_hidden(one, [*one.key.split("."), *_keys_within(one.value)])
        if one.parsed.is_sweep_override():
            raise ConfigError(
                f"{one.text} holds several values: allowed is one, or -m for a study of each; "
                f"a text with a comma goes in quotes and a list in brackets"
            )
        if one.key in choices and not one.parsed.is_delete():
            _check_choice(one, choices[one.key])
    _check_contradictions(typed)


def check_from_afar(texts: Iterable[str]) -> None:
    """Refuse in overrides from a schedule or an API all that is more than data: they come from a page, not a shell."""
    for one in read(texts):
        _check_key(one)
        if one.parsed.is_delete():
            raise ConfigError(f"{one.text}: nothing can be taken out with ~ from afar; allowed is key=value")
        if one.parsed.is_sweep_override():
            raise ConfigError(f"{one.text} holds several values; allowed from afar is one study: key=value")
        if any("${" in text for text in _texts_within(one.value)):  # not in what was typed, where it may be escaped
            raise ConfigError(f"{one.text}: a value from afar cannot refer to anything with ${{…}}; allowed is a value")
        for key, instead in _ADDRESSES.items():
            if key in _paths(one.key, one.value):
                raise ConfigError(f"{one.text}: {key} cannot be chosen from afar; allowed is {instead}")


def _check_key(one: Typed) -> None:
    first, slash = re.split(r"[./]", one.key)[0], "/" in one.key
    if first == "hydra":
        raise ConfigError(
            f"{one.text}: Hydra's own settings are fixed; allowed are the keys that `espalier config` prints"
        )
    if slash:
        raise ConfigError(f"{one.text}: keys have dots, not slashes; allowed is {one.key.replace('/', '.')}=value")
    if one.parsed.package is not None:
        raise ConfigError(f"{one.text}: a package (@) cannot be chosen; allowed is {one.key}=value")
    if one.parsed.is_add() or one.parsed.is_force_add():
        raise ConfigError(f"{one.text}: no key can be added with +; allowed is to change one that is there: key=value")
    if one.parsed.is_delete() and not re.fullmatch(r"augmentation\.transforms\.[^.]+", one.key):
        raise ConfigError(
            f"{one.text}: only a transform can be taken out with ~; allowed: ~augmentation.transforms.NAME"
        )


def _check_hidden(one: Typed, names: Iterable[str]) -> None:
    """Names like _target_ and _schema_ belong to the yamls: what runs is chosen by group, never by import path."""
    hidden = next((name for name in names if re.fullmatch(r"_\w+_", name)), None)
    if hidden is not None:
        raise ConfigError(
            f"{one.text}: {hidden} cannot be set, only the targets that the shipped yamls name can run; "
            "allowed is to choose a part by its group, such as optimizer=sgd"
        )


def _keys_within(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*map(str, value), *itertools.chain.from_iterable(_keys_within(inner) for inner in value.values())]
    if isinstance(value, list):
        return list(itertools.chain.from_iterable(_keys_within(inner) for inner in value))
    return []


def _texts_within(value: Any) -> list[str]:
    if isinstance(value, dict):
        return _texts_within([*value, *value.values()])
    if isinstance(value, list):
        return list(itertools.chain.from_iterable(_texts_within(inner) for inner in value))
    return [value] if isinstance(value, str) else []


def _check_choice(one: Typed, choices: list[str]) -> None:
    value = one.value
    if one.key == _EDITS:
        raise ConfigError(
            f"{one.text}: all edits are there at once; allowed is search.edits=[NAME,…] "
            f"of {', '.join(choices)}, and {_EDITS}.NAME.ARGUMENT=value"
        )
    if one.key == _SPACES:
        raise ConfigError(f"{one.text}: a space is chosen by search.space; allowed is one of {', '.join(choices)}")
    if one.key == _BACKBONES:
        raise ConfigError(f"{one.text}: a backbone is chosen by pretrained; allowed is one of {', '.join(choices)}")
    if isinstance(value, dict):
        return
    if isinstance(value, list) and (one.key not in _LISTED_GROUPS or not value):
        raise ConfigError(f"{one.text}: {one.key} takes one choice; allowed: {', '.join(choices)}")
    for name in value if isinstance(value, list) else [value]:
        if not isinstance(name, str) or name not in choices:
            raise unknown(f"choice for {one.key}:", name, choices)


def _check_contradictions(typed: Sequence[Typed]) -> None:
    seen: dict[str, Typed] = {}
    for one in typed:
        other = seen.setdefault(one.key, one)
        if other is not one and other.value != one.value:
            raise ConfigError(f"{other.text} and {one.text} contradict each other; allowed is one value of {one.key}")


def check_keys(typed: Sequence[Typed], config: Any) -> None:
    """Refuse a key that the composed `config` does not have."""
    for one in typed:
        for key in _paths(one.key, one.value):
            check_path(key, config)


def _paths(key: str, value: Any) -> list[str]:
    if not isinstance(value, dict):
        return [key]
    return [path for name, inner in value.items() for path in _paths(f"{key}.{name}", inner)]


def check_path(key: str, level: Any) -> None:
    """Refuse a key that a configuration does not have; names like _target_ are none."""
    path: list[str] = []
    for step in key.split("."):
        if not isinstance(level, dict):
            raise ConfigError(f"unknown key {key}: allowed: {'.'.join(path)}, which has no keys of its own")
        if step not in level or step.startswith("_"):
            raise unknown("key", key, [".".join([*path, name]) for name in level if not name.startswith("_")])
        level, path = level[step], [*path, step]
