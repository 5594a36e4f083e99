"""The front of error against cost: every network that nothing cheaper, and nothing as cheap, does better than.

Under `objective=pareto` each generation starts from another member, so that the whole front is explored, and a
shrinking edit is compared with its own parent instead of the study's best. Membership goes by the mean loss on *steer*
as it was seen; what may be claimed of each member, *confirm* says at the end.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from modules.records import GenerationRecord, Step
from modules.search.final import Finalist
from modules.search.generation import Child, Trained, Trunk, step_of
from modules.search.limits import Cost
from modules.search.pareto import covering, dominates


@dataclass(frozen=True)
class Member:
    """A trained network, where its training stopped, how it came about, how many generations it was the parent of."""

    trained: Trained
    position: int
    lineage: tuple[Step, ...]
    parents: int = 0

    @property
    def cost(self) -> Cost:
        """Of its network."""
        return Cost.of(self.trained.recipe.architecture)

    @property
    def figures(self) -> tuple[float, ...]:
        """What a front is judged by; less of each is better."""
        return (self.trained.evidence.loss, *self.cost[:2])


def front_of(members: Iterable[Member]) -> tuple[Member, ...]:
    """Those that no other dominates, cheapest first; of equal ones the first."""
    by_figures: dict[tuple[float, ...], Member] = {}
    for member in members:
        by_figures.setdefault(member.figures, member)
    kept = [one for figures, one in by_figures.items() if not any(dominates(each, figures) for each in by_figures)]
    return tuple(sorted(kept, key=lambda member: (member.cost.flops, member.cost.params)))


def grown_front(
    front: Sequence[Member], trunk: Trunk, control: Trained, children: Sequence[Child], piece: dict[str, object]
) -> tuple[Member, ...]:
    """The front after a generation that began from `trunk`: its control takes the parent's place."""
    found = [(control, None), *((child.trained, child.proposal.edit) for child in children if child.trained)]
    position = trunk.position + control.first.samples
    new = [
        Member(trained, position, (*trunk.lineage, step_of(trained, piece, edit)))
        for trained, edit in found
        if trained is not None
    ]
    parent = next((member for member in front if member.lineage == trunk.lineage), None)
    new[0] = replace(new[0], parents=parent.parents + 1 if parent else 1)
    return front_of([*(member for member in front if member is not parent), *new])


def generations_in_vain(front: Sequence[Member], generations: Sequence[GenerationRecord]) -> int:
    """How many of the last generations in a row led by an edit to no member of the front."""
    records = [record for record in generations if record.contest is None]
    led = [any(row.is_step_of(one.lineage) for row in record.rows for one in front) for record in records]
    return len(records) - max((number for number, has_led in enumerate(led, start=1) if has_led), default=0)


def next_parent(front: Sequence[Member]) -> Member:
    """Of those from which the fewest generations began, the one with the lowest loss."""
    return min(front, key=lambda member: (member.parents, member.trained.evidence.loss))


def trunk_at(trunk: Trunk, member: Member) -> Trunk:
    """The trunk moved to a member; its best is the member's own, so that shrinking edits are compared with that."""
    return replace(
        trunk,
        trained=member.trained,
        position=member.position,
        lineage=member.lineage,
        best=member.trained.evidence,
    )


def spaced(front: Sequence[Member], count: int) -> tuple[Member, ...]:
    """`count` members that cover the front by their operations, cheapest first; the lowest loss is among them."""
    losses, flops = [member.trained.evidence.loss for member in front], [member.cost.flops for member in front]
    return tuple(front[place] for place in covering(losses, flops, count))


def confirmed_front(finalists: Iterable[Finalist]) -> tuple[Finalist, ...]:
    """The finalists that no other dominates on *confirm*, cheapest first."""
    candidates = list(finalists)

    def figures(one: Finalist) -> tuple[float, ...]:
        return (one.seen.loss, *Cost.of(one.recipe.architecture)[:2])

    kept = [one for one in candidates if not any(dominates(figures(other), figures(one)) for other in candidates)]
    return tuple(sorted(kept, key=lambda one: (one.recipe.architecture.flops, one.recipe.architecture.params)))
