"""Does a race pick as good an optimiser as trying them all, for a quarter of the compute?

    python -m benchmarks.optimizer_race --threads 1 mnist=DIR                  # seed 0, a tenth of the images
    python -m benchmarks.optimizer_race --threads 1 --full mnist=DIR fashion=DIR   # three seeds, all images: hours

Every optimiser that trains in batches of the usual size gets the rate that its own range test finds. Trying them all is
a whole training of each from new weights, under the default schedule. The race has the same entrants and halves them
over rungs, as a study does, but from new weights: each goes on at a constant rate, and at each rung a branch is cooled
down and judged. What the race picks is then looked up among the whole trainings. Range tests are not counted: both
sides need them.
"""

import argparse
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.rows import Row, print_rows, print_table
from benchmarks.trainings import Bench, add_arguments, opened_benches, say
from modules.config import OptimizerChoice, resolve
from modules.errors import TrainingError
from modules.recipe import Recipe
from modules.search.climbing import Climbed, Ground, Leg, climb
from modules.search.contest import survivors
from modules.search.failed import Failed
from modules.search.rungs import rungs_of
from modules.training.spec import Slice, Start

_POINTS = 0.001
_SHARE = 0.25
_EPOCHS = 4.0
_RUNGS = 3
_RACED_TO = 2 / 3  # of a whole training, where the last rung of the race is: the most that 25 % of it all pays for


class Outcome(NamedTuple):
    """One seed: errors of whole trainings by optimiser, what the race picked, and the samples of both."""

    errors: dict[str, float]
    picked: str
    raced: int
    tried: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--full", action="store_true", help="three seeds and all images")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--epochs", type=float, default=_EPOCHS, help="of a whole training")
    arguments = parser.parse_intermixed_args()
    seeds = arguments.seeds or list(range(3 if arguments.full else 1))
    if not arguments.full and not any(each.startswith("selection") for each in arguments.arguments):
        arguments.arguments += ["selection=random", "selection.fraction=0.1"]
    choices = resolve(["search.optimizers=all"]).search.optimizers
    with opened_benches(arguments) as benches:
        rows = [row for bench in benches for row in _rows(bench, seeds, choices, arguments.epochs)]
    print_rows(rows)


def _rows(bench: Bench, seeds: Sequence[int], choices: Sequence[OptimizerChoice], epochs: float) -> list[Row]:
    outcomes = [_outcome(bench, seed, choices, epochs) for seed in seeds]
    _print(bench, seeds, outcomes)
    behind = [each.errors[each.picked] - min(each.errors.values()) for each in outcomes]
    share = statistics.median(each.raced / each.tried for each in outcomes)
    said = f"seeds {', '.join(map(str, seeds))}"
    details = {"outcomes": [each._asdict() for each in outcomes]}
    return [
        Row(
            figure=f"{bench.name}: validation error of what the race picks, minus the best of all",
            target="≤ 0.1 points",
            value=statistics.median(behind),
            shown=", ".join(f"{100 * each:+.2f}" for each in behind) + " points",
            met=statistics.median(behind) <= _POINTS,
            seeds=said,
            details=details,
        ),
        Row(
            figure=f"{bench.name}: samples of the race, of those of trying all {len(choices)}",
            target="≤ 25 %",
            value=share,
            shown=f"{share:.0%}",
            met=share <= _SHARE,
            seeds=said,
        ),
    ]


def _outcome(bench: Bench, seed: int, choices: Sequence[OptimizerChoice], epochs: float) -> Outcome:
    recipes = {choice.name: _with_rate(bench, choice, seed) for choice in choices}
    errors, tried = {}, 0
    for name, recipe in recipes.items():
        result = bench.train(name, recipe, seed, epochs)
        errors[name] = result.steer_error if result else 1.0
        tried += result.samples if result else round(epochs * bench.num_train(recipe))
    picked, raced = _race(
        bench, recipes, seed, round(_RACED_TO * epochs * bench.num_train(next(iter(recipes.values()))))
    )
    say(f"{bench.name}, seed {seed}: the race picks {picked} after {raced:,} samples")
    return Outcome(errors, picked, raced, tried)


def _with_rate(bench: Bench, choice: OptimizerChoice, seed: int) -> Recipe:
    recipe = bench.recipe().updated(optimizer=choice.part, learning_rate=choice.learning_rate)
    return recipe.updated(learning_rate=bench.range_test(recipe, seed).picked)


def _race(bench: Bench, recipes: dict[str, Recipe], seed: int, samples: int) -> tuple[str, int]:
    laboratory, spent = bench.laboratory, 0

    def train(recipe: Recipe, piece: Slice, start: Start | None) -> Leg | Failed:
        nonlocal spent
        spec = laboratory.spec(recipe, piece, seed, start)
        try:
            result = laboratory.found(spec) or laboratory.train(spec, lambda progress: None)
        except TrainingError as error:  # it falls behind, as in a whole training
            return Failed(str(error))
        spent += result.samples
        return spec, result

    rungs = rungs_of(samples, _RUNGS)
    ways = {name: climb(recipe, rungs, Ground(), train, 3) for name, recipe in recipes.items()}
    alive = list(recipes)
    for _ in rungs:
        came = [next(ways[name]) for name in alive]
        losses = [each.result.steer_loss if isinstance(each, Climbed) else None for each in came]
        alive = [alive[place] for place in survivors(losses)]
    return alive[0], spent


def _print(bench: Bench, seeds: Sequence[int], outcomes: Sequence[Outcome]) -> None:
    names = sorted(outcomes[0].errors, key=lambda name: statistics.mean(each.errors[name] for each in outcomes))
    lines = [
        (name, *(f"{each.errors[name]:.2%}{' (picked)' if each.picked == name else ''}" for each in outcomes))
        for name in names
    ]
    print_table(f"Optimisers, each at its own rate: {bench.name}", ("optimiser", *(f"seed {s}" for s in seeds)), lines)


if __name__ == "__main__":
    main()
