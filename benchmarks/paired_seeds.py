"""How much of the noise of training do an edit and its control share, if they are trained with the same seed?

    python -m benchmarks.paired_seeds --threads 1 fashion=DIR              # six seeds: some 5 minutes
    python -m benchmarks.paired_seeds --threads 1 --seeds 12 mnist=DIR fashion=DIR
    python -m benchmarks.paired_seeds --threads 1 --cooled fashion=DIR     # slices at whose end the rate is zero

With the same seed both see the same images in the same order, from weights that compute the same where the edit is
exact. A trunk is trained for three slices; then the control and one edit of each kind are trained for a slice with
each of the seeds. For each edit: the standard deviation, between seeds, of its loss on *steer* minus the control's with
the same seed, and the correlation of the two; all in proportion to the control's loss. What judging supposes before it
has seen pairs of its own (PRIOR_PAIRED) comes from here.
"""

import argparse
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.rows import print_table
from benchmarks.trainings import Bench, add_arguments, opened_benches
from modules.config import resolve
from modules.parts import resolve as resolve_part
from modules.randomness import uniform
from modules.recipe import Recipe
from modules.records import Part, TrialResult
from modules.search.climbing import start_of
from modules.search.laboratory import Inherited
from modules.search.planning import slice_rule
from modules.search.rungs import constant, cooling
from modules.training.spec import Slice

_BASELINE_SLICES = 3
_OF_RECIPES = "modules.edits.augmentation_strength"  # whose sites are no layers


class Pairs(NamedTuple):
    """An edit's losses on *steer*, one a seed, beside the control's with the same seeds."""

    kind: str
    description: str
    ours: tuple[float, ...]
    control: tuple[float, ...]

    @property
    def differences(self) -> list[float]:
        """In proportion to the control's mean loss."""
        scale = statistics.mean(self.control)
        return [(our - its) / scale for our, its in zip(self.ours, self.control, strict=True)]

    @property
    def correlation(self) -> float:
        """Of the losses, over seeds."""
        return float(np.corrcoef(self.ours, self.control)[0, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--seeds", type=int, default=6, help="how many")
    parser.add_argument("--cooled", action="store_true", help="slices at whose end the rate is zero")
    arguments = parser.parse_intermixed_args()
    with opened_benches(arguments) as benches:
        for bench in benches:
            _print(bench.name, _measure(bench, arguments.seeds, cooling() if arguments.cooled else constant()))


def _measure(bench: Bench, num_seeds: int, schedule: Part) -> list[Pairs]:
    recipe = bench.recipe().updated(schedule=constant())
    samples = slice_rule(bench.num_train(recipe))
    piece = Slice(samples=_BASELINE_SLICES * samples, evaluate_every=samples)
    trunk = bench.trained("trunk", bench.laboratory.spec(recipe, piece, 0))
    slice_of_all = Slice(samples=samples, evaluate_every=samples, first_sample=trunk.samples)
    recipe = recipe.updated(schedule=schedule)
    seeds = [1000 * number for number in range(num_seeds)]
    control = tuple(
        bench.trained("control", bench.laboratory.spec(recipe, slice_of_all, seed, start_of(trunk))).steer_loss
        for seed in seeds
    )
    return [
        Pairs(kind, description, ours, control)
        for kind, edit in _edits(bench, recipe)
        for description, ours in _trained(bench, recipe, trunk, edit, slice_of_all, seeds)
    ]


def _edits(bench: Bench, recipe: Recipe) -> list[tuple[str, Part]]:
    """One edit of each kind, at a site that is drawn."""
    found = []
    for edit in resolve(list(bench.overrides)).search.edits:
        if edit.target.startswith(_OF_RECIPES):
            continue
        sites = resolve_part(edit.target).sites(recipe.architecture)
        if sites:
            site = sites[int(float(uniform("paired seeds", edit.name, 0)) * len(sites))]
            found.append((edit.name, Part(target=edit.target, arguments={**edit.arguments, **site})))
    return found


def _trained(
    bench: Bench, recipe: Recipe, trunk: TrialResult, edit: Part, piece: Slice, seeds: Sequence[int]
) -> list[tuple[str, tuple[float, ...]]]:
    """The edit with each of the seeds, of which its new weights are drawn, too; nothing where it does not fit."""
    losses, description = [], ""
    for seed in seeds:
        inherited = bench.laboratory.inherit(edit, recipe, trunk, seed)
        if not isinstance(inherited, Inherited):
            return []
        description = inherited.description
        spec = bench.laboratory.spec(inherited.recipe.updated(schedule=recipe.schedule), piece, seed, inherited.start)
        losses.append(bench.trained(description, spec).steer_loss)
    return [(description, tuple(losses))]


def _print(name: str, measured: Sequence[Pairs]) -> None:
    control = measured[0].control
    lines = [
        (
            each.kind,
            each.description,
            f"{statistics.mean(each.differences):+.2%}",
            f"{statistics.stdev(each.differences):.2%}",
            f"{each.correlation:.2f}",
        )
        for each in measured
    ]
    pooled = statistics.mean(statistics.variance(each.differences) for each in measured) ** 0.5
    alone = statistics.stdev(control) / statistics.mean(control)
    lines.append(("all", f"the control varies by {alone:.2%} between seeds", "", f"{pooled:.2%}", ""))
    columns = ("kind", "edit", "effect", "standard deviation of the difference with the same seed", "correlation")
    print_table(f"What an edit and its control share: {name}, {len(control)} seeds", columns, lines)


if __name__ == "__main__":
    main()
