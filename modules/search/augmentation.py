"""Which transforms suit a data set: what a network makes of transformed images, before and after it has learnt of them.

A network is trained briefly on a part of the training images, few enough to leave a gap, and then

- looked at (affinity, Gontijo-Lopes et al. 2020, arXiv:2002.08973): what a transform costs it on *steer*;
- trained on for as long with all candidates, one drawn for every second image, and looked at again. What still costs
  much is too strong. Where images of a class are still taken for another one, the transform broke the meaning of the
  label: no network can tell a flipped 2 from a 5. A flipped boot, of which the first network makes a sandal, is learnt;
- trained on for a slice with each transform that is left, at the greatest strength that is not too strong, and for the
  same slice without any: what that does to the loss on *steer* as it is, is the gain.

What has a gain becomes the policy, as long as the policy as a whole is not too strong.
"""

import math
from collections.abc import Mapping, Sequence

from modules.augmentation.strength import strengths_of
from modules.errors import ConfigError
from modules.records import Part, Record

MOST_COST = 0.75  # of the loss on steer: what a transform may add, once a network has learnt of it
MOST_POLICY_COST = 1.5  # likewise the whole policy: two or three transforms that are chosen by hand add about 1
_MOST_CONFUSED = 0.1  # of a class: surely more than that taken for another one means that the label is wrong
_LEAST_CHANGE = 1e-4  # of a pixel's value between 0 and 1
_LEAST_DIVERSITY = 1.02
CONTROLS = 2  # slices without any transform, with different seeds


class Confusion(Record):
    """The pair of classes of which one is most surely taken for the other more than before."""

    of: int
    taken_for: int
    rise: float  # a fraction of the class
    images: int  # of the class
    surely: float = 0.0  # a lower bound of the rise; earlier records have none


class Seen(Record):
    """What a network said about images after a policy: cross-entropy, error, mean change of a pixel, confusion."""

    loss: float
    error: float
    change: float
    confusion: Confusion


class Looks(Record):
    """A network's words about images as they are, and after each of several policies."""

    plain: Seen
    seen: tuple[Seen, ...]


class Candidate(Record):
    """A transform at a strength, what was measured, and what became of it. Losses are relative to those without it."""

    transform: Part
    affinity: float  # accuracy on steer of a network that has not learnt of it, minus that on images as they are
    diversity: float  # loss on training images of one that has, relative to that on images as they are
    cost: float  # what it adds to the loss on steer of the one that has, as a fraction
    confusion: Confusion
    change: float
    gain: float | None = None  # of the loss on steer, by training with it; None: not trained with
    kept: bool = False
    why: str = ""
    picture: str = ""  # a strip, PNG in base64

    @property
    def name(self) -> str:
        """In words: `Rotate, max_degrees 10`."""
        strengths = [f"{name} {value:g}" for name, value in strengths_of(self.transform).items()]
        if "direction" in self.transform.arguments:
            strengths.append(str(self.transform.arguments["direction"]))
        return ", ".join([self.transform.name, *strengths])


class FoundPolicy(Record):
    """What was measured, and the policy that came of it. `cost` is what it adds to the loss on steer, as a fraction."""

    candidates: tuple[Candidate, ...]
    transforms: tuple[Part, ...]
    cost: float
    noise: float  # between seeds of the slices that gains were measured in, as a fraction of the loss
    samples: int  # trained on, in all
    num_trials: int = 0
    seconds: float
    unchanged: str = ""  # the strip of images as they are


def certain(transform: Part) -> Part:
    """The transform for every image, where it otherwise spares some."""
    if "probability" not in transform.arguments:
        return transform
    return transform.updated(arguments={**transform.arguments, "probability": 1.0})


def floor(num_classes: int, num_images: int) -> float:
    """What is added to losses before they are compared: what guessing at one image more would."""
    return math.log(num_classes) / num_images


def higher(loss: float, than: float, floor: float) -> float:
    """By which fraction a loss is higher than another one."""
    return (loss + floor) / (than + floor) - 1


def candidates_of(
    transforms: Sequence[Part], fresh: Looks, learnt: Looks, training: Looks, floor: float
) -> list[Candidate]:
    """The figures of each, by a network that has not learnt of them, and by one that has, on steer and in training."""
    return [
        Candidate(
            transform=transform,
            affinity=fresh.plain.error - before.error,
            diversity=1 + higher(trained.loss, training.plain.loss, floor),
            cost=higher(after.loss, learnt.plain.loss, floor),
            confusion=after.confusion,
            change=after.change,
        )
        for transform, before, after, trained in zip(transforms, fresh.seen, learnt.seen, training.seen, strict=True)
    ]


def sifted(candidates: Sequence[Candidate], classes: Sequence[str]) -> list[Candidate]:
    """With the reason to drop each that is to be dropped: of every kind, one strength at most has none."""
    judged = [candidate.updated(why=_objection(candidate, classes)) for candidate in candidates]
    strongest: dict[str, Candidate] = {}
    for candidate in judged:
        kind = _kind(candidate.transform)
        if not candidate.why and (kind not in strongest or candidate.cost > strongest[kind].cost):
            strongest[kind] = candidate
    return [
        candidate
        if candidate.why or strongest[_kind(candidate.transform)] is candidate
        else candidate.updated(why="a greater strength of it is not too much either")
        for candidate in judged
    ]


def _objection(candidate: Candidate, classes: Sequence[str]) -> str:
    confusion = candidate.confusion
    if candidate.change < _LEAST_CHANGE:
        return "it changes nothing in these images"
    if confusion.surely > _MOST_CONFUSED:
        return (
            f"it breaks the meaning of a label: {confusion.rise:.0%} more of {classes[confusion.of]!r} are taken for "
            f"{classes[confusion.taken_for]!r}, though the network was trained with it"
        )
    if candidate.cost > MOST_COST:
        return f"too strong: the loss on steer is {candidate.cost:.0%} higher with it (at most {MOST_COST:.0%})"
    if candidate.diversity < _LEAST_DIVERSITY:
        return "it makes training images no harder, so that there is nothing to learn from it"
    return ""


def _kind(transform: Part) -> str:
    """All but the strengths."""
    strengths = strengths_of(transform)
    rest = {name: value for name, value in transform.arguments.items() if name not in strengths}
    return transform.updated(arguments=rest).content_digest


def gained(
    candidates: Sequence[Candidate], losses: Mapping[int, float], control: float, floor: float
) -> list[Candidate]:
    """With what training with each did, by place: `losses` on *steer* against the control's."""
    result = []
    for place, candidate in enumerate(candidates):
        if place in losses:
            gain = -higher(losses[place], control, floor)
            why = "" if gain > 0 else f"training with it raises the loss on steer by {-gain:.1%}"
            candidate = candidate.updated(gain=gain, why=why)
        result.append(candidate)
    return result


def in_order_of_gain(candidates: Sequence[Candidate]) -> list[int]:
    """The places of those that nothing speaks against, the best first."""
    left = [place for place, candidate in enumerate(candidates) if not candidate.why]
    return sorted(left, key=lambda place: -(candidates[place].gain or 0.0))


class Effort(Record):
    """How much is spent on finding a policy, in samples and images."""

    brief_samples: int  # of the first network, and again of the one that learns of the candidates
    slice_samples: int  # with each transform that is left
    images: int  # that are looked at after each transform


_USUAL = Effort(brief_samples=24_000, slice_samples=4_000, images=1_000)
_LEAST_SHARE = 0.1
BUDGET_SHARE = 0.1  # of what a budget pays for, that finding a policy may take
_BRIEF = 2  # networks
_TRAINED_ON = 5_000  # images: few enough to leave a gap after so brief a training


def most_trials(candidates: Sequence[Part]) -> int:
    """How many trainings finding a policy takes at most: one strength of each kind is trained with."""
    return _BRIEF + CONTROLS + len({_kind(candidate) for candidate in candidates})


def effort(affordable: float | None, candidates: Sequence[Part]) -> Effort:
    """The usual one, or less where so many samples do not pay for it; ConfigError where less would say nothing."""
    if affordable is None:
        return _USUAL
    looks = len(candidates) * _USUAL.images  # three of them, each a third of the work of a training
    slices = most_trials(candidates) - _BRIEF
    usual = _BRIEF * _USUAL.brief_samples + slices * _USUAL.slice_samples + looks
    share = min(1.0, affordable / usual)
    if share < _LEAST_SHARE:
        least, trainings = _LEAST_SHARE * usual, most_trials(candidates)
        raise ConfigError(
            f"augmentation=auto tries {len(candidates)} transforms and trains {least:,.0f} samples at least, and "
            f"{BUDGET_SHARE:.0%} of the budget pays for {affordable:,.0f} beside the looks of {trainings} trainings; "
            "allowed are a larger budget, fewer augmentation.candidates, or augmentation=none"
        )
    return Effort(**{name: max(1, int(share * amount)) for name, amount in _USUAL})


def brief_selection(num_train: int) -> Part:
    """The part of the training images that the brief networks see."""
    fraction = min(1.0, max(0.001, _TRAINED_ON / num_train))
    return Part(target="modules.selection.random_fraction.RandomFraction", arguments={"fraction": fraction, "seed": 0})
