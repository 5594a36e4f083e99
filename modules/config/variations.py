"""Settings that differ from those of some overrides by a few values: composed once for each choice of parts."""

import itertools
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from modules.config.checks import unknown
from modules.config.compose import composed, settings_of
from modules.config.overrides import check_path, groups, read
from modules.config.settings import Settings
from modules.config.spaces import read_space
from modules.errors import ConfigError
from modules.parts import CONF
from modules.space import Parameter, Space

# What a recipe is made of; the rest decides how a study goes about it and is not for a search to vary.
_OF_A_RECIPE = (
    *("optimizer", "batching", "averaging", "augmentation", "mixing", "selection"),
    *(
        "training.learning_rate",
        "training.batch_size",
        "training.label_smoothing",
        "training.dropout",
        "training.gradient_clip",
    ),
)
STRENGTH = "augmentation.strength"
# While structure is searched the network is there already and trained at a constant rate.
_OF_A_WHOLE_TRAINING = ("model", "initialisation", "schedule")


class Variations:
    """What overrides resolve to when some keys have other values."""

    def __init__(self, overrides: Sequence[str], conf: Path = CONF) -> None:
        self._overrides = tuple(overrides)
        self._conf = conf
        self._groups = groups(conf)
        self._typed = read(self._overrides)
        self._composed: dict[tuple[str, ...], dict[str, Any]] = {}
        self._composing = threading.RLock()

    def settings(self, values: Mapping[str, Any]) -> Settings:
        """The settings at a point of a space; ConfigError where a value is not allowed."""
        config = _copied(self._base(values))
        for key, value in values.items():
            if key not in self._groups:
                _set(config, key, value)
        return settings_of(config, self._conf, self._overrides)

    def point(self, space: Space, known: Mapping[str, Any]) -> dict[str, Any] | None:
        """Where the overrides themselves lie in a space, `known` keys apart; None where they lie outside it."""
        base = self._base({})
        values: dict[str, Any] = {}
        for parameter in space.parameters:
            if parameter.condition is not None and not parameter.condition.holds(values):
                continue
            key = parameter.key
            if key in known:
                value = known[key]
            elif key in self._groups:
                typed = [one.value for one in self._typed if one.key == key]
                same = (one for one in parameter.extremes if self._base({key: one})[key] == base[key])
                value = typed[0] if typed else next(same, None)
            else:
                value = _get(base, key)
            if not parameter.contains(value):
                return None
            values[key] = value
        return values

    def _base(self, values: Mapping[str, Any]) -> dict[str, Any]:
        chosen = {key: str(value) for key, value in values.items() if key in self._groups}
        key = tuple(f"{group}={name}" for group, name in chosen.items())
        with self._composing:  # Hydra's parser is not made for several threads
            if key not in self._composed:
                self._composed[key] = self._with_parts(chosen) if chosen else self._through_hydra(())
            return self._composed[key]

    def _with_parts(self, chosen: Mapping[str, str]) -> dict[str, Any]:
        """Hydra takes a third of a second; where it would only put another yaml in a place, that is done here."""
        keys = [one.key for one in self._typed]
        meets = any(key == "experiment" or key.split(".")[0] in chosen for key in keys)
        nodes = {group: _yaml(self._conf, group, name) for group, name in chosen.items()}
        if meets or any("_target_" not in node for node in nodes.values()):
            return self._through_hydra(tuple(f"{group}={name}" for group, name in chosen.items()))
        return {**self._base({}), **nodes}

    def _through_hydra(self, chosen: tuple[str, ...]) -> dict[str, Any]:
        config = composed([*self._overrides, *chosen], self._conf)
        space = config["search"].get("space")
        if space is not None:
            config["search"]["space"] = read_space(str(space), self._conf)  # once, not at every point
        return config


@cache
def _yaml(conf: Path, group: str, name: str) -> dict[str, Any]:
    from omegaconf import OmegaConf

    path = conf / group / f"{name}.yaml"
    if not path.is_file():
        raise unknown(f"choice for {group}:", name, groups(conf)[group])
    node = OmegaConf.to_container(OmegaConf.load(path))
    return {str(key): value for key, value in node.items()} if isinstance(node, dict) else {}


def _copied(node: Any) -> Any:
    """A copy of nested mappings; what lies in them is not changed by anybody."""
    return {key: _copied(value) for key, value in node.items()} if isinstance(node, dict) else node


def _set(config: dict[str, Any], key: str, value: Any) -> None:
    level = _level(config, key)
    level[key.split(".")[-1]] = value


def _get(config: dict[str, Any], key: str) -> Any:
    return _level(config, key)[key.split(".")[-1]]


def _level(config: dict[str, Any], key: str) -> dict[str, Any]:
    """The section that a key lies in; ConfigError where there is none."""
    check_path(key, config)
    level = config
    for step in key.split(".")[:-1]:
        level = level[step]
    return level


def check_space(space: Space, overrides: Sequence[str], whole_trainings: bool, conf: Path = CONF) -> None:
    """Refuse a space whose keys or values the configuration does not have, or that contradicts the overrides."""
    where = f"search.space={space.name}"
    _check_keys(space, where, whole_trainings)
    for typed in read(overrides):
        for key in space.keys:
            if typed.key == key:
                raise ConfigError(f"{typed.text} contradicts {where}, which varies {key}; allowed is one of the two")
    variations = Variations(overrides, conf)
    for parameter in space.parameters:
        for values in _samples(parameter, space, conf):
            try:
                _refuse_finders(variations.settings(values), parameter.key)
                _refuse_prescribed_batches(values.get("optimizer"), conf)
            except ConfigError as error:
                said = ", ".join(f"{key}={value}" for key, value in values.items())
                raise ConfigError(f"{where} at {said}: {error}") from error


def _refuse_finders(settings: Settings, key: str) -> None:
    """A selection or a policy that trainings find first is found once, before a search."""
    group = key.split(".")[0]
    finds_selection = group == "selection" and settings.finds_selection
    finds_policy = group == "augmentation" and key != STRENGTH and settings.augmentation.candidates
    if finds_selection or finds_policy:
        allowed = "none, random or kept" if finds_selection else f"one that names its transforms, or {STRENGTH}"
        raise ConfigError(f"the {group} is found by trainings of its own, which no search varies; allowed is {allowed}")


def _refuse_prescribed_batches(optimizer: Any, conf: Path) -> None:
    """In other batches than its own, such as all images, it would be another optimiser under its name."""
    free = [name for name in groups(conf)["optimizer"] if _yaml(conf, "optimizer", name)["default_batch_size"] is None]
    if optimizer is not None and optimizer not in free:
        raise ConfigError(f"{optimizer} prescribes its batches, and tries share theirs; allowed: {', '.join(free)}")


def _check_keys(space: Space, where: str, whole_trainings: bool) -> None:
    allowed = (*_OF_A_RECIPE, *(_OF_A_WHOLE_TRAINING if whole_trainings else ()))
    for key in space.keys:
        if key in allowed or key.split(".")[0] in allowed:
            continue
        if key.split(".")[0] in _OF_A_WHOLE_TRAINING:
            raise ConfigError(
                f"{where} varies {key}, which is settled before structure is searched; allowed is "
                f"`espalier sweep {space.name}`, and here {', '.join(allowed)}"
            )
        raise ConfigError(f"{where}: unknown key {key}, or one that no search may vary; allowed: {', '.join(allowed)}")


def _samples(parameter: Parameter, space: Space, conf: Path) -> Iterator[dict[str, Any]]:
    """The points at which a parameter is checked: its extremes, with each choice of the parts that it belongs to."""
    condition, group = parameter.condition, parameter.key.split(".")[0]
    axes: dict[str, tuple[Any, ...]] = {condition.key: condition.values} if condition else {}
    if group != parameter.key and group not in axes and group in groups(conf):
        axes |= {one.key: one.extremes for one in space.parameters if one.key == group}
    for choices in itertools.product(*axes.values()):
        for value in parameter.extremes:
            yield {**dict(zip(axes, choices, strict=True)), parameter.key: value}
