"""Gears of a pretrained network judged by cross-validation, where *steer* has too few images to judge on.

On each fold a head is fitted to the images of all others and each gear is trained from it, so that of every training
image there is what head and gear say that have not seen it. A rate is chosen on the first fold, which is then left out
of the comparison. What is joined over folds counts as a single training: networks that share most of their images vary
less than independent ones would (Bengio and Grandvalet 2004), and this is on the careful side.
"""

from dataclasses import dataclass

from modules.data.arrays import open_arrays
from modules.data.parts import group_keys
from modules.records import Part
from modules.search.laboratory import Laboratory
from modules.selection.folds import filled_folds, folds_of
from modules.selection.kept import keeping


@dataclass(frozen=True)
class Fold:
    """A fold: the selection of all training images but its own, and the share of them that it is."""

    number: int  # from 1
    selection: Part
    share: float

    def samples(self, whole: int, batch_size: int) -> int:
        """As many epochs as `whole` samples of all images are, in whole batches, since a training ends with one."""
        return max(1, int(whole * self.share) // batch_size) * batch_size

    @property
    def replicate(self) -> int:
        """Of the seed that its trainings have."""
        return self.number - 1


def split_folds(laboratory: Laboratory, selection: Part, num_folds: int, seed: int) -> tuple[Fold, ...]:
    """The folds of a selection's images; those that no image fell into are left out."""
    original = open_arrays(laboratory.home, laboratory.data)
    arrays, selected = original.under(selection)
    folds = folds_of(group_keys(arrays.images[selected]), num_folds, seed)
    made = []
    for number, fold in enumerate(filled_folds(folds), start=1):
        rest = selected[folds != fold]
        kept = keeping(laboratory.store, arrays.identities[rest], original.labels[rest], arrays.labels[rest])
        made.append(Fold(number, kept, len(rest) / len(selected)))
    return tuple(made)
