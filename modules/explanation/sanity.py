"""The sanity check against randomised weights (Adebayo et al. 2018, arXiv:1810.03292).

A method whose maps stay much the same when the network forgets all that it learnt shows the image, not the network.
"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy import stats

from modules.architecture.description import Architecture
from modules.architecture.initialisation.kaiming import Kaiming
from modules.architecture.module import Network, build_module, initial_tensors
from modules.explanation.attribution import Maps, Method, Question
from modules.records import Record

REVISION = 1

_NETWORKS = 2
_LIKE = 0.5  # a rank correlation


class SanityCheck(Record):
    """The mean rank correlation between the maps of the network and those of the same network with random weights."""

    similarity: float
    passed: bool


def sanity_check(architecture: Architecture, method: Method, question: Question, maps: Maps) -> SanityCheck:
    """Ask randomised networks the same question."""
    answers = [method(randomised(architecture, seed), question) for seed in range(_NETWORKS)]
    similarity = mean_similarity(maps, answers)
    return SanityCheck(similarity=similarity, passed=similarity < _LIKE)


def randomised(architecture: Architecture, seed: int) -> Network:
    """The network before it has learnt anything."""
    network = build_module(architecture)
    drawn = initial_tensors(architecture, Kaiming(), seed)
    network.load_state_dict({name: torch.from_numpy(values) for name, values in drawn.items()}, strict=False)
    return network.eval()


def mean_similarity(maps: Maps, others: Sequence[Maps]) -> float:
    """The mean of Spearman's correlation over images and networks; a map that says nothing is like no other."""
    return float(np.mean([_alike(one, other) for answer in others for one, other in zip(maps, answer, strict=True)]))


def _alike(one: Maps, other: Maps) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(stats.spearmanr(one, other, axis=None).statistic)
