"""A contest: ways of training one network on, compared after equal cooling and judged like a generation.

Control and contenders go over the same rungs from the same weights. Their branches are judged; the winner's trunk is
what the study goes on from. So a contest is a generation whose edits change the recipe and not the network.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from modules.edits.change_recipe import ChangeRecipe, changes_between
from modules.recipe import Recipe
from modules.records import GenerationRecord, Part
from modules.search.climbing import Climbed, next_step
from modules.search.generation import Child, Trained, Trunk
from modules.search.proposal import Proposal
from modules.search.sampler import HALVING

_TARGET = f"{ChangeRecipe.__module__}.{ChangeRecipe.__name__}"


@dataclass(frozen=True)
class Contender:
    """Another recipe for the trunk's network, as an edit, and how far its first seed has come."""

    child: Child
    climbed: Climbed | None


def change(before: Recipe, after: Recipe, name: str, reason: str) -> Proposal:
    """The edit that leads from one recipe to another, as a proposal."""
    return Proposal(name=name, edit=change_part(before, after), reason=reason)


def change_part(before: Recipe, after: Recipe) -> Part:
    """The same as a part of a lineage's step, which nobody proposed."""
    return Part(target=_TARGET, arguments={"changes": changes_between(before, after)})


def survivors(losses: Sequence[float | None]) -> list[int]:
    """Who goes on from a rung: a third of those that came there, but one at least, in their order (Jamieson 2016)."""
    came = [index for index, loss in enumerate(losses) if loss is not None]
    best = sorted(came, key=lambda index: losses[index])  # type: ignore[arg-type,return-value]
    return sorted(best[: max(1, -(-len(came) // HALVING))])


def settled(record: GenerationRecord, title: str, winner: Climbed) -> GenerationRecord:
    """The record of a contest: its winner's trunk is what is gone on from, not the branch that was judged."""
    last = winner.trunk[-1][1].key
    trunk = tuple(result.key for _, result in winner.trunk)
    rows = tuple(
        row.updated(trials=(*(key for key in trunk if key not in row.trials), *row.trials))
        if winner.result.key in row.trials
        else row
        for row in record.rows
    )
    return record.updated(contest=title, winner_trial=last, rows=rows)


def trunk_after(trunk: Trunk, kept: Child | None, winner: Climbed, trained: Trained, record: GenerationRecord) -> Trunk:
    """What the study goes on from. Losses of cooled branches say nothing of the trunk's, so its noise and best stay."""
    steps = [next_step(*leg) for leg in winner.trunk]
    if kept is not None:
        steps[0] = steps[0].updated(edit=kept.proposal.edit)
    return trunk.gone_on(record, trained, sum(result.samples for _, result in winner.trunk), *steps)
