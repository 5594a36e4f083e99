"""The deletion check: does taking away what a map points at hurt the class more than taking away other places?

The pixels are taken out in the order of the map (Petsiuk, Das and Saenko 2018, arXiv:1806.07421). What a curve is
compared with is the same map moved elsewhere: as coarse or fine, as patchy, but at places that it did not choose.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from modules.explanation.attribution import Maps, Question
from modules.randomness import words
from modules.records import Record

REVISION = 1

Logits = Callable[[Tensor], Tensor]

STEPS = 10
_MOVES = 3
_MOVES_OF_ONE = 19  # with so many the level can be reached by a single image
_LEVEL = 0.05


class DeletionCheck(Record):
    """Areas under the curve of the class's probability, over the fraction of pixels taken out; less is better."""

    area: float
    area_elsewhere: float  # mean of the same maps moved
    p_value: float  # one-sided: paired over the images, or of one image among its moved maps
    passed: bool


def deletion_check(network: Logits, question: Question, maps: Maps) -> DeletionCheck:
    """Compare a method's maps with the same maps moved."""
    areas = deletion_areas(network, question, maps)
    turns = range(_MOVES_OF_ONE if len(maps) == 1 else _MOVES)
    elsewhere = np.stack([deletion_areas(network, question, _moved(maps, turn)) for turn in turns])
    p_value = _p_value(areas, elsewhere)
    return DeletionCheck(
        area=float(areas.mean()),
        area_elsewhere=float(elsewhere.mean()),
        p_value=p_value,
        passed=p_value <= _LEVEL,
    )


def _p_value(areas: NDArray[np.float64], elsewhere: NDArray[np.float64]) -> float:
    if len(areas) == 1:
        return float(1 + (elsewhere <= areas).sum()) / (1 + len(elsewhere))
    gains = elsewhere.mean(axis=0) - areas
    if np.ptp(gains) == 0:
        return 1.0
    return float(stats.ttest_1samp(gains, 0.0, alternative="greater").pvalue)


def deletion_areas(network: Logits, question: Question, maps: Maps) -> NDArray[np.float64]:
    """The area under each image's curve: the mean probability of the class while pixels go, the strongest first."""
    curves = deletion_curves(network, question, maps)
    areas: NDArray[np.float64] = ((curves[1:] + curves[:-1]) / 2).mean(axis=0)
    return areas


def deletion_curves(network: Logits, question: Question, maps: Maps) -> NDArray[np.float64]:
    """The probability of each image's class (steps + 1, N) with 0, 1, … of `STEPS` equal parts of its pixels gone."""
    count = len(maps)
    places = maps.reshape(count, -1)
    ranks = np.argsort(np.argsort(-places, axis=1, kind="stable"), axis=1, kind="stable")
    ranks = ranks.reshape(maps.shape)
    curve = []
    with torch.inference_mode():
        for step in range(STEPS + 1):
            gone = torch.from_numpy(ranks < round(step * places.shape[1] / STEPS)).unsqueeze(1)
            left = torch.where(gone, question.plain, question.images)
            probabilities = network(left).float().softmax(dim=1)
            curve.append(probabilities[torch.arange(count), question.classes].double().numpy())
    return np.stack(curve)


def _moved(maps: Maps, turn: int) -> Maps:
    """Each map shifted around by at least a quarter of each side."""
    moved = np.empty_like(maps)
    for index, one in enumerate(maps):
        shifts = []
        for axis, side in enumerate(one.shape):
            least = max(1, side // 4)
            choices = max(1, side - 2 * least + 1)
            shifts.append(least + int(words("deletion", turn, index, axis) % np.uint64(choices)))
        moved[index] = np.roll(one, shifts, axis=(0, 1))
    return moved
