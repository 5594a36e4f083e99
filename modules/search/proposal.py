"""What to try next: a few edits, drawn from those that fit, steered by what the evaluation shows."""

from collections.abc import Mapping, Sequence
from typing import Literal

from modules.architecture.description import Architecture
from modules.parts import resolve
from modules.randomness import uniform
from modules.records import Part, Record

Leaning = Literal["grow", "shrink", "even"]

_GAP = 0.25  # of the loss on steer, above which the network is said to fit its training images better than others


class Diagnosis(Record):
    """What a trained network shows. Losses in nats, errors and silent channels as fractions."""

    train_loss: float
    steer_loss: float
    train_error: float
    steer_error: float
    silent_channels: dict[str, float]  # by activation

    @property
    def gap(self) -> float:
        """How much of the loss on *steer* is not there on training images."""
        return (self.steer_loss - self.train_loss) / self.steer_loss if self.steer_loss > 0 else 0.0

    @property
    def leaning(self) -> Leaning:
        """Whether capacity is short or left over."""
        if max(self.silent_channels.values(), default=0.0) > 0.1:
            return "shrink"
        return "even" if self.gap > _GAP else "grow"

    @property
    def reason(self) -> str:
        """Why the leaning, in a sentence."""
        silent = {name: fraction for name, fraction in self.silent_channels.items() if fraction > 0.1}
        if silent:
            name = max(silent, key=lambda each: silent[each])
            return f"{silent[name]:.0%} of the channels after {name} hardly vary, so that there is capacity left over"
        losses = f"the loss is {self.train_loss:.3g} on training images and {self.steer_loss:.3g} on steer"
        if self.leaning == "even":
            return f"{losses}: the gap is large, so that more capacity may not help by itself"
        return f"{losses}: the gap is small, so that capacity is what is short"


class Proposal(Record):
    """An edit at a site, and why it is proposed."""

    name: str
    edit: Part
    reason: str


_WEIGHTS: Mapping[Leaning, Mapping[str, float]] = {
    "grow": {"exact": 3.0, "approximate": 1.0, "lossy": 1.0},
    "even": {"exact": 2.0, "approximate": 1.5, "lossy": 1.5},
    "shrink": {"exact": 1.0, "approximate": 1.0, "lossy": 3.0},
}


def propose(
    edits: Sequence[Part],
    architecture: Architecture,
    diagnosis: Diagnosis | None,
    count: int,
    seed: int,
    generation: int,
) -> tuple[Proposal, ...]:
    """Draw `count` different edits: each kind of edit at most once before any is drawn twice.

    Kinds are weighted by the diagnosis (None: all alike, as random search does), sites are drawn evenly. Fewer come
    back where fewer fit.
    """
    weights = _WEIGHTS[diagnosis.leaning] if diagnosis else dict.fromkeys(_WEIGHTS["even"], 1.0)
    reason = diagnosis.reason if diagnosis else "drawn at random"
    drawn = []
    for edit in edits:
        kind = resolve(edit.target).kind
        for place, site in enumerate(_shuffled(resolve(edit.target).sites(architecture), seed, generation, edit.name)):
            luck = float(uniform(seed, "propose", generation, edit.name, place))
            proposal = Proposal(
                name=_snake(edit.name),
                edit=Part(target=edit.target, arguments={**edit.arguments, **site}),
                reason=reason,
            )
            # weighted drawing without replacement (Efraimidis and Spirakis 2006): the largest luck ** (1 / weight)
            drawn.append((place, -(luck ** (1.0 / weights[kind])), proposal))
    drawn.sort(key=lambda row: row[:2])
    return tuple(proposal for _, _, proposal in drawn[:count])


def _shuffled(sites: Sequence[dict[str, object]], seed: int, generation: int, name: str) -> list[dict[str, object]]:
    keys = [float(uniform(seed, "site", generation, name, index)) for index in range(len(sites))]
    return [sites[index] for index in sorted(range(len(sites)), key=keys.__getitem__)]


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
