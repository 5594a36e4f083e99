"""How wide the first network is: as wide as its time pays for, and as its limits allow.

A wider network is better where it can be trained for long enough, so a clock asks for the widest that still sees its
images `_EPOCHS` times. Without a clock a study starts with the rule's own network.
"""

from collections.abc import Callable

from modules.architecture.description import Architecture
from modules.errors import ConfigError
from modules.search.limits import Cost, Limits
from modules.search.pace import Calibration

_PERCENT = (400, 300, 250, 200, 150, 125, 100, 85, 70, 60, 50, 45, 40, 35, 30, 25, 20, 17.5, 15, 12.5, 10)
_WIDTHS = tuple(percent / 100 for percent in _PERCENT)
_USUAL = 1.0
_EPOCHS = 30
_MOST_PARAMS = 400_000  # a search starts from no more; what it grows has to earn it
_FORWARD_AND_BACKWARD = 3
_SEARCHED_SHARE = 0.5  # of the time, which is what the final training gets where generations come before it


def affordable_flops(
    first: Architecture, calibration: Calibration, num_train: int, seconds: float, searched: bool
) -> float:
    """Operations for one image, forward, with which a network sees all its images often enough within `seconds`.

    The rate is the calibrated one of the `first` network; wider ones reach more, so that they fit all the more.
    """
    rate = calibration.samples_per_second * first.flops * _FORWARD_AND_BACKWARD
    share = _SEARCHED_SHARE if searched else 1.0
    return rate * seconds * share / (_EPOCHS * num_train * _FORWARD_AND_BACKWARD)


def fitting_width(
    build: Callable[[float], Architecture],
    limits: Limits,
    most_flops: float | None,
    latency_of: Callable[[Architecture], float],
) -> float:
    """The largest width whose network is affordable and within the limits; ConfigError where none is within them.

    `latency_of` measures milliseconds; it is only asked where there is a limit on them.
    """
    for width in _WIDTHS:
        architecture = build(width)
        if width > _USUAL and not _is_affordable(architecture, most_flops):
            continue
        within = limits.objection(Cost.of(architecture)) is None  # before anything is measured
        if within and limits.objection(limits.cost_of(architecture, latency_of)) is None:
            return width
    raise unreachable(limits, limits.cost_of(build(_WIDTHS[-1]), latency_of))


def _is_affordable(architecture: Architecture, most_flops: float | None) -> bool:
    """Whether there is time for more than the usual width."""
    return most_flops is not None and architecture.flops <= most_flops and architecture.params <= _MOST_PARAMS


def unreachable(limits: Limits, smallest: Cost) -> ConfigError:
    """The error for limits that no network here can meet; says what the smallest one costs."""
    name, limit = next(iter(limits.given()))
    objection = limits.objection(smallest) or f"objective.{name}={limit:,} cannot be met"
    latency = "" if smallest.latency_ms is None else f" and takes {smallest.latency_ms:.3g} ms"
    return ConfigError(
        f"{objection}; the smallest network here has {smallest.params:,} parameters, does {smallest.flops:,} "
        f"operations an image{latency}: allowed are limits from there on, or another model="
    )
