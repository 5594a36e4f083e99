"""Which labels are probably wrong: confident learning (Northcutt, Jiang, Chuang 2021, arXiv:1911.00068).

A class's threshold is the mean probability that the images of this label are given for it. An image whose label is
another class than the most probable one above its threshold is evidence of a mix-up of the two; the counts of these
mix-ups say how many labels of each kind are wrong, and the least probable ones are suspected.
"""

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Rule = Literal["prune_by_noise_rate", "prune_by_class", "both", "confident_learning"]


@dataclass(frozen=True)
class Suspects:
    """Images whose labels are suspected, the surest first: their indices, the label that the networks would give
    and the probability of that label."""

    indices: NDArray[np.int64]
    suggested: NDArray[np.int64]
    confidence: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.indices)


def find_suspects(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], rule: Rule = "both", confidence: float = 0.6
) -> Suspects:
    """The suspected ones of N labels, from N x classes probabilities by networks that were not trained on the image.

    Only those are suspected of which another label is at least as probable as `confidence`. Of a single label there
    are no mix-ups, so none is suspected. Takes a second for cleanlab's import.
    """
    if len(np.unique(labels)) < 2:
        nothing = np.empty(0, dtype=np.int64)
        return Suspects(nothing, nothing, np.empty(0))
    from cleanlab.filter import find_label_issues

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "May not flag all label issues")  # of a class with an image or two
        ranked = find_label_issues(
            labels=labels,
            pred_probs=probabilities,
            return_indices_ranked_by="normalized_margin",
            filter_by=rule,
            n_jobs=1,
            verbose=False,
        )
    indices = np.asarray(ranked, dtype=np.int64)
    suggested, highest = probabilities[indices].argmax(axis=1), probabilities[indices].max(axis=1)
    sure = highest >= confidence
    return Suspects(indices[sure], suggested[sure], highest[sure])
