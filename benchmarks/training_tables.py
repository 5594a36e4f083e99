"""What does each choice do? Every optimiser, schedule, batching, averaging and initialisation on MNIST for 3 epochs.

    python -m benchmarks.training_tables mnist=DIR                                   # seed 0; 20 minutes on 2 cores
    python -m benchmarks.training_tables --full mnist=DIR                            # three seeds
    python -m benchmarks.training_tables --tables schedule --skip plateau mnist=DIR  # a part of it
    python -m benchmarks.training_tables --epochs 1 mnist=DIR selection=random selection.fraction=0.05      # a look

Everything but the choice itself is as `espalier run data=mnist search=none` has it, at the optimiser's default rate;
optimisers also at the rate that a range test picks, where the test is no longer than the training. Choices that would
do nothing in three epochs are given arguments with which they do; the tables say so. Errors and losses are those of
*steer*, the images that trainings are steered by: no test image is looked at. Means over the seeds, with the range.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

from benchmarks.rows import print_json, print_table
from benchmarks.trainings import Bench, add_arguments, opened_benches
from modules.parts import CONF
from modules.recipe import Recipe
from modules.records import TrialResult

_TABLES = {
    "optimizer": "Optimisers",
    "schedule": "Schedules of the learning rate",
    "batching": "Batch sizes that change",
    "averaging": "Averages of the weights",
    "initialisation": "Initialisations",
}
_LOOKS_AN_EPOCH = 2  # what plateaus and noise scales go by
_RANGE_TEST_UPDATES = 120
_SEEDS = 3
_ARGUMENTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "optimizer=schedule_free_adamw": ((), ("schedule=constant", "schedule.warmup_fraction=0.1")),
    "schedule=plateau": (("schedule.patience=0",),),
    "schedule=step": (("schedule.every_epochs=1",),),
    "schedule=time_based": (
        ("schedule.reading=closed", "schedule.decay=0.003"),
        ("schedule.reading=compounding", "schedule.decay=3e-6"),
    ),
    "batching=plateau": (("batching.patience=0",),),
}


class Trained(NamedTuple):
    """The trainings of a recipe that came to something, and how many did not."""

    rates: list[float]
    results: list[TrialResult]
    num_exploded: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--full", dest="seeds", action="store_const", const=_SEEDS, default=1, help="three seeds")
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--tables", nargs="+", choices=_TABLES, default=list(_TABLES), metavar="TABLE")
    parser.add_argument("--skip", nargs="+", default=[], metavar="NAME", help="choices to leave out")
    arguments = parser.parse_intermixed_args()
    with opened_benches(arguments) as benches:
        for bench in benches:
            for group in arguments.tables:
                _print_group(bench, group, arguments)


def choices(group: str, skip: Sequence[str]) -> list[tuple[str, ...]]:
    """The overrides of each choice of a group, with the arguments that it is shown with."""
    names = [path.stem for path in sorted((CONF / group).glob("*.yaml")) if path.stem not in skip]
    return [(f"{group}={name}", *arguments) for name in names for arguments in _ARGUMENTS.get(f"{group}={name}", ((),))]


def _print_group(bench: Bench, group: str, arguments: argparse.Namespace) -> None:
    with_range_test = group == "optimizer"
    lines = []
    for overrides in choices(group, arguments.skip):
        recipe = bench.recipe(*overrides)
        runs = {"default": _trained(bench, " ".join(overrides), recipe, arguments, lambda _: None)}
        if with_range_test:
            runs["range test"] = _at_picked_rates(bench, " ".join(overrides), recipe, arguments)
        print_json({"table": group, "overrides": overrides, **{name: _figures(run) for name, run in runs.items()}})
        lines.append(_line(overrides, runs))
    columns = ["rate", "error", "loss", "updates", "seconds"]
    columns += ["rate by range test", "error", "loss"] if with_range_test else []
    seeds = "seed 0" if arguments.seeds == 1 else f"seeds 0 to {arguments.seeds - 1}"
    print_table(f"{_TABLES[group]}: {bench.name}, {arguments.epochs:g} epochs, {seeds}", [group, *columns], lines)


def _at_picked_rates(bench: Bench, what: str, recipe: Recipe, arguments: argparse.Namespace) -> Trained:
    """At the rate of a range test of each seed; no training where the test would take longer than it."""
    if _RANGE_TEST_UPDATES * recipe.batch_size > arguments.epochs * bench.num_train(recipe):
        return Trained([], [], 0)
    pick = lambda seed: bench.range_test(recipe, seed).picked  # noqa: E731
    return _trained(bench, f"{what}, range test", recipe, arguments, pick)


def _trained(
    bench: Bench, what: str, recipe: Recipe, arguments: argparse.Namespace, pick: Callable[[int], float | None]
) -> Trained:
    rates, results = [], []
    for seed in range(arguments.seeds):
        rate = pick(seed) or recipe.learning_rate
        looks = max(1, round(_LOOKS_AN_EPOCH * arguments.epochs))
        result = bench.train(what, recipe.updated(learning_rate=rate), seed, arguments.epochs, looks)
        rates.append(rate)
        results += [result] if result else []
    return Trained(rates, results, arguments.seeds - len(results))


def _line(overrides: tuple[str, ...], runs: dict[str, Trained]) -> list[str]:
    name, *more = overrides
    run = runs["default"]
    updates = _several([result.updates for result in run.results], "{:,.0f}")
    seconds = _several([result.seconds for result in run.results], "{:.0f}")
    said = [" ".join([f"`{name.partition('=')[2]}`", *(f"`{each}`" for each in more)])]
    cells = [*said, *_outcome(run), updates, seconds]
    return [*cells, *_outcome(runs["range test"])] if "range test" in runs else cells


def _outcome(run: Trained) -> list[str]:
    exploded = f" ({run.num_exploded} of {len(run.rates)} exploded)" if run.num_exploded else ""
    errors = _several([result.steer_error for result in run.results], "{:.2%}")
    losses = _several([result.steer_loss for result in run.results], "{:.4f}")
    return [_several(run.rates, "{:.2g}"), errors + exploded, losses]


def _several(values: Sequence[float], form: str) -> str:
    """The mean, and the range where the values differ."""
    if not values:
        return "–"
    shown = [form.format(value) for value in (statistics.fmean(values), min(values), max(values))]
    return shown[0] if shown[1] == shown[2] else "{} ({} to {})".format(*shown)


def _figures(run: Trained) -> dict[str, object]:
    names = ("steer_error", "steer_loss", "updates", "seconds", "retreats")
    each = {name: [getattr(result, name) for result in run.results] for name in names}
    return {"learning_rates": run.rates, "exploded": run.num_exploded, **each}


if __name__ == "__main__":
    main()
