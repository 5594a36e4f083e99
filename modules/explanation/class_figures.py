"""How each class does, and how sure that is."""

from collections.abc import Sequence

import numpy as np

from modules.evaluation.intervals import wilson_interval
from modules.evaluation.outputs import Outputs
from modules.explanation.records import ClassFigures


def class_figures(outputs: Outputs, names: Sequence[str]) -> tuple[ClassFigures, ...]:
    """Error of each class's images, and precision of what was taken for it."""
    return tuple(_figures(outputs, index, name) for index, name in enumerate(names))


def _figures(outputs: Outputs, index: int, name: str) -> ClassFigures:
    own, taken = outputs.labels == index, outputs.predicted == index
    images, predicted = int(own.sum()), int(taken.sum())
    error = float(outputs.wrong[own].mean()) if images else None
    precision = float(np.mean(~outputs.wrong[taken])) if predicted else None
    return ClassFigures(
        name=name,
        images=images,
        predicted=predicted,
        error=error,
        error_interval=None if error is None else wilson_interval(error, images),
        precision=precision,
        precision_interval=None if precision is None else wilson_interval(precision, predicted),
    )
