"""From overrides to settings: Hydra composes, the parts are checked against their schemas, pydantic checks the rest."""

import threading
from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from modules.config.checks import check_argument, sentence, shown, unknown
from modules.config.overrides import UNCHOSEN, Typed, check, check_keys, groups, read
from modules.config.settings import BackboneChoice, OptimizerChoice, Settings
from modules.config.spaces import read_space
from modules.errors import ConfigError
from modules.parts import CONF, targets_in
from modules.records import Part
from modules.space import Space

if TYPE_CHECKING:
    from omegaconf import DictConfig

_ONE_PART_GROUPS = ("model", "initialisation", "optimizer", "schedule", "batching", "averaging", "selection")
_BACKBONE_OWN = ("package", "distribution", "side")
_PERHAPS_A_PART = ("mixing", "balance", "deployment")  # their choice `none` is empty
_DATA_OWN = ("name", "steer_fraction", "confirm_fraction", "test_fraction", "split_seed", "corrections")
_OPTIMIZER_OWN = ("default_learning_rate", "default_batch_size")
_PLACEBO = "placebo_"  # edits called so do nothing: they are there to be asked for by name
_OF_CONTESTS = ("change_recipe",)  # an edit that has no sites
_hydra = threading.Lock()  # Hydra is one for the whole process


def resolve(overrides: Sequence[str] = (), conf: Path = CONF) -> Settings:
    """The settings that overrides lead to; ConfigError, one sentence, where they lead to none."""
    settings = settings_of(composed(overrides, conf), conf, overrides)
    if settings.search.space is not None:
        from modules.config.variations import check_space  # which resolves in its turn

        check_space(settings.search.space, overrides, settings.search.kind == "sweep", conf)
    return settings


def resolved_config(overrides: Sequence[str] = (), conf: Path = CONF) -> dict[str, Any]:
    """The checked configuration under the keys by which it can be overridden."""
    config = composed(overrides, conf)
    resolve(overrides, conf)
    shown_config = _without_schemas(config)
    assert isinstance(shown_config, dict)
    return shown_config


def config_text(overrides: Sequence[str] = (), conf: Path = CONF) -> str:
    """The checked configuration as yaml, the study's name above it."""
    from omegaconf import OmegaConf

    config = resolved_config(overrides, conf)
    return f"# study {resolve(overrides, conf).study_name}\n{OmegaConf.to_yaml(OmegaConf.create(config))}"


def group_choices(conf: Path = CONF) -> dict[str, list[str]]:
    """The groups that can be chosen from, and the choices of each."""
    return {group: names for group, names in groups(conf).items() if group not in UNCHOSEN}


def composed(overrides: Sequence[str], conf: Path = CONF) -> dict[str, Any]:
    """What Hydra makes of the overrides, as plain data; parts still carry their schemas."""
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    typed = read(overrides)
    check(typed, conf)
    choices = groups(conf)
    chosen = [one.text for one in typed if one.key in choices and not isinstance(one.value, dict)]
    edits = [f"+edit@edit.{name}={name}" for name in choices.get("edit", [])]
    try:
        config = deepcopy(_compose((*chosen, *edits), conf))
        values = [one for one in typed if one.text not in chosen]
        # before Hydra applies them, as it only knows that something is not there, not what is
        check_keys(values, OmegaConf.to_container(config))
        for one in values:
            _apply(one, config)
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(f"the configuration cannot be composed: {str(error).splitlines()[0]}") from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


@cache
def _compose(choices: tuple[str, ...], conf: Path) -> "DictConfig":
    """The yamls of the chosen groups, merged; once for the studies of -m that only differ in values."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    with _hydra:
        one_for_all = GlobalHydra.instance()
        others, one_for_all.hydra = one_for_all.hydra, None  # we may be called by a program that uses Hydra itself
        try:
            with initialize_config_dir(config_dir=str(conf.resolve()), version_base="1.3"):
                return compose("config", list(choices))
        finally:
            one_for_all.hydra = others


def _apply(one: Typed, config: "DictConfig") -> None:
    """Set a value, or take one out, as Hydra does with an override that is not of a group."""
    from omegaconf import OmegaConf, open_dict
    from omegaconf.errors import OmegaConfBaseException

    if not one.parsed.is_delete():
        try:
            OmegaConf.update(config, one.key, one.value, merge=True)
        except OmegaConfBaseException as error:  # a list for a section, or the other way round
            raise ConfigError(
                f"{one.text} is of another kind than {one.key} (allowed: as `espalier config` prints it): "
                f"{str(error).splitlines()[0]}"
            ) from error
        return
    above, _, name = one.key.rpartition(".")
    with open_dict(config):
        del OmegaConf.select(config, above)[name]


def settings_of(config: dict[str, Any], conf: Path = CONF, overrides: Sequence[str] = ()) -> Settings:
    """The checked settings of a composed configuration; `overrides` are what led to it."""
    values = {key: value for key, value in config.items() if key not in ("edit", "experiment")}
    rate, batch_size = (values["optimizer"].get(name) for name in _OPTIMIZER_OWN)
    for group in _ONE_PART_GROUPS:
        values[group] = _part(values[group], group, group, conf, own=_OPTIMIZER_OWN if group == "optimizer" else ())
    values["augmentation"] = _augmentation(values["augmentation"], conf)
    values["data"] = _data(values["data"], conf)
    values["search"] = _search(values["search"], config.get("edit", {}), conf)
    values["overrides"] = tuple(overrides)
    values["pretrained"], values["backbones"] = _pretrained(values["pretrained"], conf)
    values["explanation"] = _explanation(values["explanation"], conf)
    for group in _PERHAPS_A_PART:
        values[group] = _part(values[group], group, group, conf) if values[group] else None
    values["training"] = {**values["training"], "default_learning_rate": rate}
    if values["training"].get("batch_size") is None:
        values["training"]["batch_size"] = batch_size
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigError(sentence(error)) from error


def _part(node: Any, key: str, group: str, conf: Path, own: Sequence[str] = ()) -> Part:
    """A yaml's part, its target and arguments checked; keys in `own` are not arguments."""
    if not isinstance(node, dict) or "_target_" not in node:
        raise ConfigError(f"{key} must be a part of conf/{group}; got {shown(node)}")
    target, schema = node["_target_"], node.get("_schema_") or {}
    allowed = _targets(conf / group)
    if target not in allowed:
        raise unknown(f"_target_ of {key}:", target, allowed)
    arguments = {name: value for name, value in node.items() if name not in ("_target_", "_schema_", *own)}
    for name, value in arguments.items():
        if name not in schema:
            raise unknown("key", f"{key}.{name}", [f"{key}.{known}" for known in (*schema, *own)])
        check_argument(f"{key}.{name}", value, schema[name])
    return Part(target=target, arguments=arguments)


@cache
def _targets(folder: Path) -> frozenset[str]:
    return targets_in(folder.glob("*.yaml"))


def _augmentation(node: dict[str, Any], conf: Path) -> dict[str, Any]:
    parts = _named_parts(node.get("transforms"), "augmentation", "transforms", conf)
    return {**node, "transforms": tuple(parts.values()), "candidates": _candidates(node.get("candidates"), conf)}


def _named_parts(nodes: Any, group: str, key: str, conf: Path) -> dict[str, Part]:
    if not isinstance(nodes, dict):
        raise ConfigError(f"{group}.{key} must be a mapping of {key}; got {shown(nodes)}")
    return {name: _part(inner, f"{group}.{key}.{name}", group, conf) for name, inner in nodes.items()}


def _candidates(chosen: Any, conf: Path) -> tuple[Part, ...]:
    """The transforms that yamls want `tried`, at each strength that they name."""
    known = _all_candidates(conf)
    names = list(known) if chosen == "all" else [chosen] if isinstance(chosen, str) else chosen
    if not isinstance(names, list):
        raise ConfigError(f"augmentation.candidates must be all or a list of {', '.join(known)}; got {shown(chosen)}")
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise unknown("choice for augmentation.candidates:", name, ["all", *known])
    return tuple(part for name in dict.fromkeys(names) for part in known[name])


@cache
def _all_candidates(conf: Path) -> dict[str, tuple[Part, ...]]:
    """Every yaml's transforms that are `tried`; read once, as a search comes here at each of its points."""
    known = {path.stem: _tried(path, conf) for path in sorted((conf / "augmentation").glob("*.yaml"))}
    return {name: parts for name, parts in known.items() if parts}


def _tried(path: Path, conf: Path) -> tuple[Part, ...]:
    from omegaconf import OmegaConf

    content: Any = OmegaConf.to_container(OmegaConf.load(path))
    parts = []
    for name, node in (content.get("transforms") or {}).items():
        tried = {key: entry["tried"] for key, entry in node.get("_schema_", {}).items() if "tried" in entry}
        for values in zip(*tried.values(), strict=True):
            with_values = {**node, **dict(zip(tried, values, strict=True))}
            parts.append(_part(with_values, f"augmentation.transforms.{name}", "augmentation", conf))
    return tuple(parts)


def _explanation(node: dict[str, Any], conf: Path) -> dict[str, Any]:
    if "methods" not in node:
        return node
    methods = _named_parts(node["methods"], "explanation", "methods", conf)
    return {**node, "methods": tuple(methods.items())}


def _data(node: dict[str, Any], conf: Path) -> dict[str, Any]:
    """The data's settings; a folder is made absolute, so that the same command means the same study anywhere."""
    node = dict(node)
    for name in ("root", "corrections"):
        if isinstance(node.get(name), int):
            node[name] = str(node[name])  # a folder may be called 2026
        if node.get(name) == "":  # which is where one is, as a path
            raise ConfigError(f"data.{name} is empty, as where a variable of the shell is not set; allowed is a path")
    if isinstance(node.get("corrections"), str):
        node["corrections"] = str(Path(node["corrections"]).expanduser().absolute())
    reader = _part(node, "data", "data", conf, own=_DATA_OWN)
    root = reader.arguments.get("root")
    if root is not None:
        reader = reader.updated(arguments={**reader.arguments, "root": str(Path(root).expanduser().absolute())})
    return {"reader": reader, **{name: node[name] for name in _DATA_OWN if name in node}}


def _search(node: dict[str, Any], edits: dict[str, Any], conf: Path) -> dict[str, Any]:
    space = node.get("space")
    if space is not None and not isinstance(space, Space):
        space = read_space(str(space), conf)
    optimizers = _optimizers(node.get("optimizers"), conf)
    return {**node, "edits": _edits(node.get("edits"), edits, conf), "space": space, "optimizers": optimizers}


@cache
def _all_optimizers(conf: Path) -> dict[str, OptimizerChoice]:
    """Every yaml's optimiser with its defaults."""
    from omegaconf import OmegaConf

    found = {}
    for path in sorted((conf / "optimizer").glob("*.yaml")):
        node = OmegaConf.to_container(OmegaConf.load(path))
        assert isinstance(node, dict)
        rate, batch_size = (node[name] for name in _OPTIMIZER_OWN)
        part = _part(node, f"optimizer={path.stem}", "optimizer", conf, own=_OPTIMIZER_OWN)
        found[path.stem] = OptimizerChoice(name=path.stem, part=part, learning_rate=rate, batch_size=batch_size)
    return found


@cache
def _all_backbones(conf: Path) -> dict[str, BackboneChoice]:
    """Every yaml's network with the package of its weights."""
    from omegaconf import OmegaConf

    found = {}
    for path in sorted((conf / "backbone").glob("*.yaml")):
        node = OmegaConf.to_container(OmegaConf.load(path))
        assert isinstance(node, dict)
        part = _part(node, f"backbone={path.stem}", "backbone", conf, own=_BACKBONE_OWN)
        found[path.stem] = BackboneChoice(
            name=path.stem, part=part, **{str(name): node[name] for name in _BACKBONE_OWN}
        )
    return found


def _pretrained(wish: Any, conf: Path) -> tuple[str, tuple[BackboneChoice, ...]]:
    """What was asked for, a file by its whole path, and the networks that it may mean."""
    known = _all_backbones(conf)
    if wish == "none":
        return wish, ()
    if wish == "auto":
        return wish, tuple(known.values())
    if isinstance(wish, str) and wish in known:
        return wish, (known[wish],)
    path = Path(str(wish)).expanduser()
    if type(wish) not in (str, int) or not path.is_file():  # a file may be called 2026
        raise ConfigError(
            f"pretrained={shown(wish)} is neither a network that is known nor a file; allowed are auto, none, "
            f"{', '.join(known)}, or the path of a file with weights"
        )
    return str(path.absolute()), tuple(known.values())


def _optimizers(chosen: Any, conf: Path) -> tuple[OptimizerChoice, ...]:
    """Those that are raced; all: those that train in batches as large as the others'."""
    if chosen in (None, "none"):
        return ()
    known = _all_optimizers(conf)
    comparable = [name for name, one in known.items() if one.batch_size is None]
    names = comparable if chosen == "all" else [chosen] if isinstance(chosen, str) else chosen
    if not isinstance(names, list):
        raise ConfigError(
            f"search.optimizers must be none, all or a list of {', '.join(comparable)}; got {shown(chosen)}"
        )
    for name in names:
        if name not in comparable:
            raise unknown("choice for search.optimizers:", name, ["none", "all", *comparable])
    return tuple(known[name] for name in dict.fromkeys(names))


def _edits(chosen: Any, nodes: dict[str, Any], conf: Path) -> tuple[Part, ...]:
    parts = {name: _part(node, f"edit.{name}", "edit", conf) for name, node in nodes.items()}
    if chosen == "all":
        return tuple(part for name, part in parts.items() if _is_usual(name))
    names = [chosen] if isinstance(chosen, str) else chosen
    if not isinstance(names, list):
        raise ConfigError(f"search.edits must be all or a list of {', '.join(parts)}; got {shown(chosen)}")
    for name in names:
        if not isinstance(name, str) or name not in parts:
            raise unknown("choice for search.edits:", name, ["all", *parts])
    return tuple(parts[name] for name in dict.fromkeys(names))


def _is_usual(name: str) -> bool:
    return not name.startswith(_PLACEBO) and name not in _OF_CONTESTS


def _without_schemas(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_schemas(value) for key, value in node.items() if key != "_schema_"}
    if isinstance(node, list):
        return [_without_schemas(value) for value in node]
    return node
