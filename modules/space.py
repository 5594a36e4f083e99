"""A space of hyper-parameters as plain frozen data: what may vary, between which values, and where it applies."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from modules.records import Record

Scalar = bool | int | float | str
Values = dict[str, Any]  # a point of a space: the value of each key that applies at it


class Condition(Record):
    """Applies only where another key has one of these values."""

    key: str
    values: tuple[Scalar, ...]

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it does at a point."""
        return values.get(self.key) in self.values

    def includes(self, other: "Condition") -> bool:
        """Whether it holds wherever the other one does."""
        return self.key == other.key and set(other.values) <= set(self.values)

    @property
    def phrase(self) -> str:
        """As a space has it: `optimizer=adamw,muon`."""
        return f"{self.key}={','.join(map(str, self.values))}"


class Real(Record):
    """Any number from `low` to `high`, or every `step` of them."""

    kind: Literal["real"] = "real"
    key: str
    low: float
    high: float
    log: bool = False
    step: float | None = None
    condition: Condition | None = None

    @property
    def extremes(self) -> tuple[Scalar, ...]:
        """The values between which all others lie."""
        return (self.low, self.high)

    def contains(self, value: Any) -> bool:
        """Whether a value is one of them."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        return math.isclose(steps, round(steps), abs_tol=1e-9)


class Whole(Record):
    """Whole numbers from `low` to `high`."""

    kind: Literal["whole"] = "whole"
    key: str
    low: int
    high: int
    log: bool = False
    step: int = 1
    condition: Condition | None = None

    @property
    def extremes(self) -> tuple[Scalar, ...]:
        """The values between which all others lie."""
        return (self.low, self.high)

    def contains(self, value: Any) -> bool:
        """Whether a value is one of them."""
        return type(value) is int and self.low <= value <= self.high and (value - self.low) % self.step == 0


class Choice(Record):
    """One of some values, which have no order."""

    kind: Literal["choice"] = "choice"
    key: str
    values: tuple[Scalar, ...]
    condition: Condition | None = None

    @property
    def extremes(self) -> tuple[Scalar, ...]:
        """All of them."""
        return self.values

    def contains(self, value: Any) -> bool:
        """Whether a value is one of them: 0 and 0.0 are one number, which false is not."""
        return any(isinstance(value, bool) is isinstance(one, bool) and value == one for one in self.values)


Parameter = Annotated[Real | Whole | Choice, Field(discriminator="kind")]


class Space(Record):
    """What a search may vary. Parameters that others depend on come before them."""

    name: str
    parameters: tuple[Parameter, ...]
    path: str | None = None  # of a yaml of one's own; None: one of conf/space

    @property
    def identity(self) -> str:
        """By which a study knows it, whatever is in it."""
        return self.path or self.name

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key once."""
        return tuple(dict.fromkeys(parameter.key for parameter in self.parameters))

    def contains(self, values: Mapping[str, Any]) -> bool:
        """Whether a point lies in it: a value for each key that applies there, and no other."""
        applying = [one for one in self.parameters if one.condition is None or one.condition.holds(values)]
        found = {one.key for one in applying}
        return found == set(values) and all(one.contains(values[one.key]) for one in applying)

    def up_to(self, key: str, most: int) -> "Space":
        """Without the numbers of a key that are larger, and without what only applies with those."""
        bounded = [_up_to(one, most) if one.key == key else one for one in self.parameters]
        applying = [_where_possible(one, key, most) for one in bounded if one is not None]
        return self.model_copy(update={"parameters": tuple(one for one in applying if one is not None)})

    def without(self, key: str) -> "Space":
        """Without a key that no other depends on."""
        return self.model_copy(update={"parameters": tuple(one for one in self.parameters if one.key != key)})

    def differences(self, other: "Space") -> list[str]:
        """What is otherwise in another space, a phrase for each key."""
        ours, theirs = _by_key(self), _by_key(other)
        return [
            f"{key} was {theirs.get(key, 'not in it')}, now it is {ours.get(key, 'not in it')}"
            for key in dict.fromkeys([*theirs, *ours])
            if ours.get(key) != theirs.get(key)
        ]


def _up_to(parameter: Parameter, most: int) -> Parameter | None:
    """With the numbers that are not larger, and all words; None where nothing is left."""
    if isinstance(parameter, Choice):
        values = _not_larger(parameter.values, most)
        return parameter.updated(values=values) if values else None
    if parameter.low > most:
        return None
    if isinstance(parameter, Whole):
        high = parameter.low + (most - parameter.low) // parameter.step * parameter.step
        return parameter.updated(high=min(parameter.high, high))
    return parameter.updated(high=min(parameter.high, float(most)))


def _where_possible(parameter: Parameter, key: str, most: int) -> Parameter | None:
    """With the values of its condition that there still are; None where there is none."""
    condition = parameter.condition
    if condition is None or condition.key != key:
        return parameter
    values = _not_larger(condition.values, most)
    return parameter.updated(condition=condition.updated(values=values)) if values else None


def _not_larger(values: tuple[Scalar, ...], most: int) -> tuple[Scalar, ...]:
    return tuple(value for value in values if isinstance(value, str) or value <= most)


def _by_key(space: Space) -> dict[str, str]:
    phrases: dict[str, list[str]] = {}
    for parameter in space.parameters:
        phrases.setdefault(parameter.key, []).append(described(parameter))
    return {key: " or ".join(said) for key, said in phrases.items()}


def described(parameter: Real | Whole | Choice) -> str:
    """What a parameter may be, in words."""
    if isinstance(parameter, Choice):
        what = f"one of {', '.join(map(str, parameter.values))}"
    else:
        scale = " on a log scale" if parameter.log else ""
        step = f" by {parameter.step:g}" if parameter.step not in (None, 1) else ""
        what = f"{parameter.low:g} to {parameter.high:g}{step}{scale}"
    return what if parameter.condition is None else f"{what} (with {parameter.condition.phrase})"
