"""Every yaml that names a part: its schema is its signature, its defaults are allowed, nonsense is refused."""

import inspect
import math
import types
import typing
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from modules.config.checks import check_argument
from modules.config.compose import _BACKBONE_OWN, _DATA_OWN, _OPTIMIZER_OWN
from modules.errors import ConfigError
from modules.parts import CONF, build, resolve
from modules.records import Part

WORDS = {"type", "min", "max", "optional", "choices", "count", "neutral", "tried"}
TYPES = {"float": float, "int": int, "bool": bool, "str": str}


def _nodes(path: Path) -> list[dict[str, Any]]:
    """The parts of a yaml: itself, or the transforms or methods in it."""
    plain = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(plain, dict)
    inner = [*plain.get("transforms", {}).values(), *plain.get("methods", {}).values()]
    return [node for node in (plain, *inner) if "_target_" in node]


PARTS = [
    pytest.param(path.parent.name, node, id=f"{path.parent.name}/{path.stem}")
    for path in sorted(CONF.glob("*/*.yaml"))
    for node in _nodes(path)
]
GROUPS = {parameter.values[0] for parameter in PARTS}


def _arguments(group: str, node: dict[str, Any]) -> dict[str, Any]:
    own = {"data": _DATA_OWN, "optimizer": _OPTIMIZER_OWN, "backbone": _BACKBONE_OWN}.get(group, ())
    return {name: value for name, value in node.items() if name not in ("_target_", "_schema_", *own)}


def _wrong(entry: dict[str, Any]) -> list[Any]:
    """Values that a schema's entry must refuse."""
    values: list[Any] = [{"a": 1}, math.nan, "not one of these" if entry["type"] != "str" or "choices" in entry else 1]
    values += [] if entry.get("optional") else [None]
    values += [entry["min"] - 1] if "min" in entry else []
    values += [entry["max"] + 1] if "max" in entry else []
    if "count" not in entry:
        return values
    count = entry["count"]
    most = count["max"] if isinstance(count, dict) else count
    return [*values, [], [entry["min"]] * (most + 1), *([value] * most for value in values)]


def test_every_group_of_parts_was_found():
    learning = {"averaging", "balance", "batching", "initialisation", "mixing", "model", "optimizer", "schedule"}
    assert learning | {"augmentation", "backbone", "data", "deployment", "edit", "explanation", "selection"} == GROUPS


@pytest.mark.parametrize(("group", "node"), PARTS)
def test_schema_and_arguments_name_the_same(group, node):
    schema = node["_schema_"]
    assert set(schema) == set(_arguments(group, node))
    for entry in schema.values():
        assert set(entry) <= WORDS
        assert entry["type"] in TYPES


@pytest.mark.parametrize(("group", "node"), PARTS)
def test_defaults_are_allowed_and_nonsense_is_not(group, node):
    for name, value in _arguments(group, node).items():
        entry = node["_schema_"][name]
        check_argument(name, value, entry)
        for wrong in _wrong(entry):
            with pytest.raises(ConfigError):
                check_argument(name, wrong, entry)


@pytest.mark.parametrize(("group", "node"), PARTS)
def test_strengths_and_what_is_tried_are_allowed(group, node):
    for name, entry in node["_schema_"].items():
        for value in [*entry.get("tried", []), *([max(entry["neutral"], entry["min"])] if "neutral" in entry else [])]:
            check_argument(name, value, entry)


@pytest.mark.parametrize(("group", "node"), PARTS)
def test_schema_is_the_signature(group, node):
    target = node["_target_"]
    called = resolve(target)
    parameters = inspect.signature(called).parameters
    arguments = _arguments(group, node)
    assert set(arguments) <= set(parameters)
    if not target.startswith("modules."):
        return  # a library's annotations and defaults are its own
    hints = typing.get_type_hints(called.__init__ if inspect.isclass(called) else called)
    for name, value in arguments.items():
        _check_annotation(name, node["_schema_"][name], hints[name])
        assert parameters[name].default in (value, inspect.Parameter.empty)
    hidden = {name for name, one in parameters.items() if one.default is not inspect.Parameter.empty} - set(arguments)
    assert not hidden, f"no yaml key sets {hidden}"


def _check_annotation(name: str, entry: dict[str, Any], annotation: Any) -> None:
    optional = False
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        rest = [choice for choice in typing.get_args(annotation) if choice is not type(None)]
        optional = len(rest) < len(typing.get_args(annotation))
        (annotation,) = rest
    assert bool(entry.get("optional")) == optional, name
    if typing.get_origin(annotation) is typing.Literal:
        assert entry["choices"] == list(typing.get_args(annotation)), name
    elif "count" in entry:
        assert annotation == list[TYPES[entry["type"]]], name
    else:
        assert TYPES[entry["type"]] is annotation or (entry["type"] == "str" and annotation is Path), name


@pytest.mark.parametrize("path", sorted(CONF.glob("optimizer/*.yaml")), ids=lambda path: path.stem)
def test_optimizers_take_a_step(path):
    import torch

    (node,) = _nodes(path)
    weight = torch.nn.Parameter(torch.ones(3))
    part = Part(target=node["_target_"], arguments=_arguments("optimizer", node))
    optimizer = build(part, [weight], lr=node["default_learning_rate"])
    weight.square().sum().backward()
    optimizer.step()
    assert (weight < 1).all()


@pytest.mark.parametrize("path", sorted(CONF.glob("schedule/*.yaml")), ids=lambda path: path.stem)
def test_schedules_give_factors_of_the_rate(path):
    from modules.training.progress import Progress

    (node,) = _nodes(path)
    schedule = build(Part(target=node["_target_"], arguments=_arguments("schedule", node)))
    factors = [schedule.factor(Progress(samples, 1000, samples // 10)) for samples in range(0, 1001, 10)]
    assert all(0.0 <= factor <= 1.0 for factor in factors)
    assert max(factors) == 1.0


@pytest.mark.parametrize("path", sorted(CONF.glob("batching/*.yaml")), ids=lambda path: path.stem)
def test_batches_begin_with_the_first_size_and_never_shrink(path):
    from modules.training.progress import Progress

    (node,) = _nodes(path)
    batching = build(Part(target=node["_target_"], arguments=_arguments("batching", node)))
    scales = (None, 100.0, 300.0, 250.0, 10.0, 10.0, 10.0, None, 900.0, 1e9)
    looks = [Progress(100 * n, 1000, n, 100, (1.0,) * n, scales[:n]) for n in range(11)]
    sizes = [batching.batch_size(64, progress) for progress in looks]
    assert sizes[0] == 64
    assert sizes == sorted(sizes)
