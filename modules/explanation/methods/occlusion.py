"""Occlusion (Zeiler and Fergus 2014, arXiv:1311.2901)."""

import math
from collections.abc import Callable

from torch import Tensor

from modules.explanation.attribution import Maps, Question, as_maps, captum

REVISION = 1

_AT_ONCE = 8  # places


class Occlusion:
    """How much the class loses when a patch is covered; `patch` is its side as a fraction of the image's."""

    def __init__(self, patch: float = 0.15) -> None:
        self.patch = patch

    def __call__(self, network: Callable[[Tensor], Tensor], question: Question) -> Maps:
        """Patches move by half their side; a pixel gets the mean over the patches that cover it."""
        channels, *sides = question.images.shape[1:]
        windows = [min(side, max(2, round(self.patch * side))) for side in sides]
        return as_maps(
            captum()
            .Occlusion(network)
            .attribute(
                question.images,
                sliding_window_shapes=(channels, *windows),
                strides=(channels, *(math.ceil(window / 2) for window in windows)),
                baselines=question.plain,
                target=question.classes,
                perturbations_per_eval=_AT_ONCE,
            )
        )
