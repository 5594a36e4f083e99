"""Trainings one by one, as a study does them: recipes that overrides describe, trained in a worker process."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flows.translation import configured_data, configured_laboratory, configured_recipe
from modules.config import resolve
from modules.data.arrays import Arrays, open_arrays
from modules.errors import TrainingError
from modules.recipe import Recipe
from modules.records import RangeTest, TrialResult
from modules.search.laboratory import Laboratory
from modules.search.selecting.workplace import Workplace
from modules.store import Store
from modules.training.numerics import numerics_of_this_process
from modules.training.spec import Slice, TrialSpec
from modules.training.training import Training
from modules.workers.pool import WorkerPool

_DATA = {"mnist": "mnist", "fashion": "fashion_mnist", "cifar10": "cifar10"}  # what the command line says, and the yaml


@dataclass(frozen=True)
class Bench:
    """A data set, and the worker with all cores that trains on it; what was trained before is found in its store."""

    name: str
    laboratory: Laboratory
    overrides: tuple[str, ...]

    def recipe(self, *choices: str) -> Recipe:
        """What `espalier run` would start with under these overrides; the rate is the default, not a range test's."""
        settings = resolve([*choices, *self.overrides])
        recipe = configured_recipe(settings, self.laboratory.data)
        return recipe.updated(augmentation=settings.augmentation.transforms)

    def arrays(self) -> Arrays:
        """The data."""
        return open_arrays(self.laboratory.home, self.laboratory.data)

    def num_train(self, recipe: Recipe) -> int:
        """The images of an epoch."""
        return self.laboratory.num_selected(recipe)

    def workplace(self, recipe: Recipe, seed: int) -> Workplace:
        """Where a search for a selection has its trainings done."""
        return Workplace(
            laboratory=self.laboratory,
            recipe=recipe,
            train=lambda spec, role: self.trained(role, spec),
            seed=lambda replicate: seed + 1000 * replicate,
        )

    def range_test(self, recipe: Recipe, seed: int) -> RangeTest:
        """The rates that were tried for a recipe and the one that was picked."""
        return self.laboratory.find_rate(recipe, seed)

    def training(self, recipe: Recipe, updates: int, seed: int) -> Training:
        """A training in this process, for those who time what happens within it; nothing of it is stored."""
        samples = updates * recipe.batch_size
        home = self.laboratory.home
        spec = self.laboratory.spec(recipe, Slice(samples=samples, evaluate_every=samples), seed)
        spec = spec.updated(numerics=numerics_of_this_process())
        return Training(spec, home, Store(home / "store"), lambda progress: None)

    def train(self, what: str, recipe: Recipe, seed: int, epochs: float, looks: int = 1) -> TrialResult | None:
        """Train for so many epochs with some looks at *steer*; says how it went. None: the loss exploded."""
        samples = round(epochs * self.num_train(recipe))
        piece = Slice(samples=samples, evaluate_every=max(1, samples // looks))
        try:
            return self.trained(what, self.laboratory.spec(recipe, piece, seed))
        except TrainingError as error:
            say(f"{self.name}, {what}, seed {seed}: {error}")
            return None

    def trained(self, what: str, spec: TrialSpec) -> TrialResult:
        """Train a trial, or find it, and say how it went."""
        result = self.laboratory.found(spec) or self.laboratory.train(spec, lambda progress: None)
        say(
            f"{self.name}, {what}, seed {spec.seed}: error {result.steer_error:.2%}, loss {result.steer_loss:.4f} on "
            f"steer after {result.epochs:.1f} epochs, {result.updates:,} updates and {result.seconds:.1f} s"
        )
        return result


def say(line: str) -> None:
    """What a person who waits wants to know."""
    print(line, file=sys.stderr, flush=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of all benchmarks that train: data sets and overrides, threads, where to keep what was trained."""
    parser.add_argument(
        "arguments",
        nargs="+",
        metavar="ARGUMENT",
        help=f"data as {' and '.join(f'{name}=DIR' for name in _DATA)}; anything else is an override for all trainings",
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--keep", type=Path, help="a folder to keep trainings in; those found there are not done again")


@contextmanager
def opened_benches(arguments: argparse.Namespace) -> Iterator[list[Bench]]:
    """A bench for each data set that was given."""
    folders, overrides = split_arguments(arguments.arguments)
    with (
        opened_home(arguments.keep) as home,
        WorkerPool(1, arguments.threads, home / "logs", "modules.training.trial") as pool,
    ):
        yield [
            bench_of(name, (f"data={name}", f"data.root={root}", *overrides), home, pool)
            for name, root in folders.items()
        ]


def bench_of(name: str, overrides: tuple[str, ...], home: Path, pool: WorkerPool) -> Bench:
    """A bench for the data set that these overrides describe."""
    settings = resolve(list(overrides))
    data = configured_data(settings, Store(home / "store"))
    return Bench(name, configured_laboratory(settings, home, pool, data), overrides)


def trial_of(overrides: Sequence[str], piece: Slice, home: Path) -> TrialSpec:
    """The first trial under these overrides, for those who have it trained with this process's own numerics."""
    settings = resolve(overrides)
    data = configured_data(settings, Store(home / "store"))
    recipe = configured_recipe(settings, data).updated(augmentation=settings.augmentation.transforms)
    return TrialSpec(recipe=recipe, slice=piece, seed=0, data=data, numerics=numerics_of_this_process())


@contextmanager
def opened_home(keep: Path | None) -> Iterator[Path]:
    """`keep`, or a temporary folder."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="espalier-benchmark-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def split_arguments(arguments: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The folder of each data set by its yaml's name, and the overrides."""
    pairs = [argument.partition("=") for argument in arguments]
    folders = {_DATA[name]: root for name, _, root in pairs if name in _DATA}
    if not folders:
        sys.exit(f"no data: say {' or '.join(f'{name}=DIR' for name in _DATA)}")
    return folders, tuple("".join(pair) for pair in pairs if pair[0] not in _DATA)
