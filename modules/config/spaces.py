"""Spaces of hyper-parameters: yamls of conf/space, or of one's own, in the grammar of Hydra's sweeps."""

import itertools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modules.config.checks import shown, unknown
from modules.config.overrides import Typed, read
from modules.errors import ConfigError
from modules.space import Choice, Condition, Parameter, Real, Scalar, Space, Whole

if TYPE_CHECKING:
    from hydra.core.override_parser.types import RangeSweep

SPACES = "space"  # the folder of conf
_WHEN = "when"
_GRAMMAR = "interval(0,1), tag(log, interval(1e-4,1e-1)), int(interval(1,8)), range(16,129,16), choice(a,b) or a,b"
_MOST_VALUES = 1000  # of a range that is no progression


def read_space(name: str, conf: Path) -> Space:
    """The space of a name in conf/space, or of a yaml's path; ConfigError, one sentence, where it is none."""
    is_own = name.endswith((".yaml", ".yml"))
    path = Path(name).expanduser().resolve() if is_own else conf / SPACES / f"{name}.yaml"
    if not path.is_file():
        choices = [each.stem for each in (conf / SPACES).glob("*.yaml")]
        raise unknown("choice for search.space:", name, [*choices, "the path of a yaml"])
    where = f"search.space={name}"
    content = _loaded(path, where)
    when = content.pop(_WHEN, {})
    if not isinstance(when, dict):
        raise ConfigError(f"{where}: {_WHEN} must hold conditions such as optimizer=adamw,muon; got {shown(when)}")
    parameters = [_parameter(key, text, None, where) for key, text in content.items()]
    common = {parameter.key: parameter for parameter in parameters}
    for text, keys in when.items():
        condition = _condition(text, common, where)
        if not isinstance(keys, dict) or not keys:
            raise ConfigError(f"{where}: {_WHEN} {text} must hold keys and their values; got {shown(keys)}")
        parameters += [_parameter(key, value, condition, where) for key, value in keys.items()]
    if not parameters:
        raise ConfigError(f"{where} varies nothing; allowed is at least one key with {_GRAMMAR}")
    _refuse_overlaps(parameters, where)
    return Space(name=path.stem, parameters=tuple(parameters), path=str(path) if is_own else None)


def _loaded(path: Path, where: str) -> dict[str, Any]:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        content = OmegaConf.to_container(OmegaConf.load(path))
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError, OSError) as error:  # the last: also a bare number
        raise ConfigError(f"{where} is no yaml that can be read: {str(error).splitlines()[0]}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{where} must be a mapping of keys to values such as {_GRAMMAR}")
    return {str(key): value for key, value in content.items()}


def _condition(text: str, common: Mapping[str, Parameter], where: str) -> Condition:
    """`optimizer=adamw,muon`: one of the space's own choices and some of its values."""
    (typed,) = read([str(text)])
    known = common.get(typed.key)
    if not isinstance(known, Choice):
        choices = [key for key, one in common.items() if isinstance(one, Choice)]
        allowed = ", ".join(choices) or "none of this space"
        raise ConfigError(f"{where}: {_WHEN} {text} depends on {typed.key}; allowed are its choices: {allowed}")
    values = tuple(typed.value.list) if typed.parsed.is_choice_sweep() else (typed.value,)
    for value in values:
        if not known.contains(value):
            raise unknown(f"value of {typed.key} in {_WHEN} {text} of {where}:", value, map(str, known.values))
    return Condition(key=typed.key, values=values)


def _parameter(key: str, text: Any, condition: Condition | None, where: str) -> Parameter:
    if not isinstance(text, str):
        raise ConfigError(f"{where}: {key} is {shown(text)}, a single value; allowed is {_GRAMMAR}")
    try:
        (typed,) = read([f"{key}={text}"])
    except ConfigError:  # which speaks of overrides
        raise ConfigError(f"{where}: cannot read {key}: {text}; allowed is {_GRAMMAR}") from None
    if typed.parsed.is_interval_sweep():
        return _interval(typed, condition, where)
    if typed.parsed.is_range_sweep():
        return _range(typed, condition, where)
    if typed.parsed.is_choice_sweep():
        return _choice(key, tuple(_scalar(one, typed, where) for one in typed.value.list), condition, where)
    raise ConfigError(f"{where}: {key} is {text}, a single value; allowed is {_GRAMMAR}")


def _scalar(value: Any, typed: Typed, where: str) -> Scalar:
    from hydra.core.override_parser.types import QuotedString

    if isinstance(value, QuotedString):
        return value.text
    if not isinstance(value, bool | int | float | str):
        raise ConfigError(f"{where}: {typed.text} has {shown(value)} among its values; allowed are numbers and words")
    return value


def _interval(typed: Typed, condition: Condition | None, where: str) -> Parameter:
    low, high, log = typed.value.start, typed.value.end, "log" in typed.value.tags
    _check_tags(typed, {"log"}, where)
    if not (math.isfinite(low) and math.isfinite(high)) or low >= high:
        raise ConfigError(f"{where}: {typed.text} is empty; allowed is a lower end, then a higher one")
    if log and low <= 0:
        raise ConfigError(f"{where}: {typed.text} runs through zero on a log scale; allowed is a lower end above 0")
    if isinstance(low, int) and isinstance(high, int):
        return Whole(key=typed.key, low=low, high=high, log=log, condition=condition)
    return Real(key=typed.key, low=float(low), high=float(high), log=log, condition=condition)


def _range(typed: Typed, condition: Condition | None, where: str) -> Parameter:
    _check_tags(typed, set(), where)
    values = list(itertools.islice(counted(typed.value), _MOST_VALUES + 1))
    if len(values) > _MOST_VALUES:
        raise ConfigError(f"{where}: {typed.text} has more than {_MOST_VALUES} values; allowed is interval(LOW,HIGH)")
    if not values:
        raise ConfigError(f"{where}: {typed.text} is empty; allowed is range(START,STOP,STEP) that comes to STOP")
    values.sort()
    low, high, step = values[0], values[-1], abs(typed.value.step)
    if low == high:
        return _choice(typed.key, (low,), condition, where)  # which refuses it
    if all(isinstance(value, int) for value in values):
        return Whole(key=typed.key, low=int(low), high=int(high), step=int(step), condition=condition)
    return Real(key=typed.key, low=low, high=high, step=float(step), condition=condition)


def counted(sweep: "RangeSweep") -> Iterator[int | float]:
    """The values of a range, as one means them who types decimals; none where it does not come to its end."""
    start, stop, step = sweep.start, sweep.stop, sweep.step
    if start is None or stop is None or step == 0:
        return
    for number in itertools.count():
        value = start + number * step
        value = value if isinstance(value, int) else float(f"{value:.12g}")  # 0.1 + 2 * 0.1 is 0.3
        if (step > 0 and value >= stop) or (step < 0 and value <= stop):
            return
        yield value


def _choice(key: str, values: tuple[Scalar, ...], condition: Condition | None, where: str) -> Choice:
    distinct = tuple({(isinstance(value, bool), value): value for value in values}.values())
    if len(distinct) < 2:
        said = shown(distinct[0]) if distinct else "nothing"
        raise ConfigError(f"{where}: {key} can only be {said}; allowed are two values or more, or an override for one")
    return Choice(key=key, values=distinct, condition=condition)


def _check_tags(typed: Typed, allowed: set[str], where: str) -> None:
    for tag in sorted(typed.value.tags - allowed):
        raise ConfigError(f"{where}: {typed.text} has the tag {tag}; allowed is {', '.join(allowed) or 'none here'}")


def _refuse_overlaps(parameters: list[Parameter], where: str) -> None:
    """The same key may come several times, but never twice at one point."""
    for one, other in itertools.combinations(parameters, 2):
        if one.key != other.key:
            continue
        first, second = one.condition, other.condition
        apart = first and second and first.key == second.key and not set(first.values) & set(second.values)
        if not apart:
            raise ConfigError(
                f"{where}: {one.key} is given twice; allowed is once, or under conditions that exclude each other"
            )
