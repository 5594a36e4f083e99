"""Does inheriting weights pay? Edits against random search and against TPE with Hyperband, both from scratch.

    python -m benchmarks.inheritance --threads 1 fashion=DIR                 # seed 0: some 20 minutes
    python -m benchmarks.inheritance --threads 1 --full fashion=DIR          # three seeds

All three search the same space: the start network with each convolution's width changed and with residual branches
behind its activations. All start with the default network, train at a constant rate, look at the averaged weights and
cool down at the end, over the same number of samples for a whole training. What counts is operations, three times the
forward pass for each image that was trained on, until the loss on *steer* after cooling down reaches the target. That
is fixed beforehand: 95 % of what the default network ends with.

- edits: an `espalier run` of so many generations, and cooled down after each of some numbers of them: only the training
  that leads there and one cooling down count, as in a study that had stopped there;
- random: networks drawn evenly from the space, each trained to the end;
- TPE with Hyperband: Optuna's, which stops the worse ones before they are cooled down;
- longer: no search at all, the default network trained for longer before it is cooled down. What edits reach that it
  does not is theirs; what both reach is the trunk's, which trains on while it is searched.

The others get up to --patience times the operations that edits needed in all. A fifth of the images unless overrides
say otherwise.
"""

import argparse
import json
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import optuna

from benchmarks.commands import run_study
from benchmarks.rows import Row, print_rows, print_table
from benchmarks.trainings import Bench, add_arguments, opened_benches, say
from modules.architecture.description import Architecture
from modules.architecture.nodes import Activation, Conv
from modules.edits.add_layer import AddLayer
from modules.recipe import Recipe
from modules.records import Part, TrialResult
from modules.search.climbing import start_of
from modules.training.spec import Slice

_FORWARD_AND_BACKWARD = 3
_SHARE_OF_DEFAULT = 0.95  # of the default network's loss: the target
_GOAL = 3.0  # times fewer operations than the better of the others
_SEGMENT = 8_000  # samples between two looks, and a slice of the study
_SEGMENTS = 4  # at a constant rate, then
_LONGER = (6, 8, 12, 16, 24, 32)  # segments of the default network without a search
_COOLING = 40_000  # samples
_GENERATIONS = (1, 2, 3, 4, 6, 8)
_EDITS = "[add_layer,widen_layer,widen_network,narrow_layer,remove_layer]"
_WIDTHS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
_MOST_BRANCHES = 2
_CONSTANT = Part(target="modules.training.schedules.constant.Constant", arguments={"warmup_fraction": 0.1})
_LINEAR = Part(target="modules.training.schedules.linear.Linear", arguments={"final_factor": 0.0})


class Point(NamedTuple):
    """The lowest loss on *steer* that a search has come to with so many operations."""

    flops: float
    loss: float
    params: int


Arm = list[Point]

_NO_SEARCH = "longer"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--full", action="store_true", help="three seeds")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--patience", type=float, default=3.0, help="how often the operations of edits the others get")
    parser.add_argument("--segment", type=int, default=_SEGMENT, help="samples between two looks, and a slice of edits")
    arguments = parser.parse_intermixed_args()
    seeds = arguments.seeds or list(range(3 if arguments.full else 1))
    if not any(argument.startswith("selection") for argument in arguments.arguments):
        arguments.arguments += ["selection=random", "selection.fraction=0.2"]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with opened_benches(arguments) as benches:
        print_rows([_compare(bench, seeds, arguments) for bench in benches])


def _compare(bench: Bench, seeds: Sequence[int], arguments: argparse.Namespace) -> Row:
    runs = []
    for seed in seeds:
        recipe = bench.recipe()
        recipe = recipe.updated(learning_rate=bench.range_test(recipe, seed).picked)
        scratch = Scratch(bench, recipe, seed, arguments.segment)
        default = scratch.default()
        edits = [default, *_edits(bench, recipe, seed, arguments)]
        most = arguments.patience * edits[-1].flops
        arms = {"edits": edits, "random": scratch.random(most), "TPE and Hyperband": scratch.hyperband(most)}
        arms[_NO_SEARCH] = [default, *scratch.longer(most)]
        runs.append((_SHARE_OF_DEFAULT * default.loss, arms))
        _print_arms(bench, seed, *runs[-1])
    return _row(bench, seeds, runs)


def _edits(bench: Bench, recipe: Recipe, seed: int, arguments: argparse.Namespace) -> Iterator[Point]:
    """Studies of more and more generations in one home, so that each goes on from what the others trained."""
    home = bench.laboratory.home / f"edits-{bench.name}-{seed}"
    for generations in _GENERATIONS:
        overrides = [
            *bench.overrides,
            f"search.edits={_EDITS}",
            f"search.generations={generations}",
            "search.patience=null",
            "search.from_scratch=false",
            f"search.slice_samples={arguments.segment}",
            f"search.baseline_samples={_SEGMENTS * arguments.segment}",
            f"search.final_samples={_COOLING}",
            f"training.learning_rate={recipe.learning_rate}",
            f"trainer.threads={arguments.threads}",
            f"seed={seed}",
            f"study=after-{generations}",
            "prior=none",
            "orchestrator=inline",
            "tracking.enabled=false",
            "deployment=none",
        ]
        point = _point(home, run_study(overrides, home).summary)
        say(f"{bench.name}, edits, seed {seed}: {generations} generations, {_said(point)}")
        yield point


def _point(home: Path, summary: dict[str, str]) -> Point:
    ledger = json.loads((home / summary["ledger"]).read_text())
    rows = [row for generation in ledger["generations"] for row in generation["rows"]]
    (final,) = [row for row in ledger["final"] if row["kept"]]
    keys = {ledger["baseline"], *final["trials"], *(key for row in rows for key in row["trials"])}
    results = {key: _result(home, key) for key in keys}
    last = results[final["trials"][0]]
    return Point(sum(map(_flops, results.values())), last.steer_loss, last.params)


def _result(home: Path, key: str) -> TrialResult:
    (path,) = home.glob(f"store/trials/*/{key}/result.json")
    return TrialResult.model_validate_json(path.read_text())


def _flops(trial: TrialResult) -> float:
    return float(_FORWARD_AND_BACKWARD * trial.samples * trial.flops)


def _said(point: Point) -> str:
    return f"loss {point.loss:.4f} with {point.params:,} parameters after {point.flops / 1e12:.2f} TFLOP"


class Scratch:
    """Searches whose every network starts from nothing."""

    def __init__(self, bench: Bench, recipe: Recipe, seed: int, segment: int) -> None:
        self.bench, self.recipe, self.seed, self.segment = bench, recipe, seed, segment
        architecture = recipe.architecture
        self.convolutions = [node.name for node in architecture.nodes if isinstance(node, Conv)]
        self.activations = [node.name for node in architecture.nodes if isinstance(node, Activation)]

    def default(self) -> Point:
        """The first network, trained to the end."""
        flops, loss = self._train(self.recipe.architecture, lambda step, loss: False)
        return Point(flops, loss, self.recipe.architecture.params)

    def longer(self, most_flops: float) -> Iterator[Point]:
        """The first network, trained for longer and longer and then cooled down: as if each had been planned so."""
        architecture = self.recipe.architecture
        for segments in _LONGER:
            flops, loss = self._train(architecture, lambda step, loss: False, segments)
            if flops > most_flops:
                return
            point = Point(flops, loss, architecture.params)
            say(f"{self.bench.name}, longer, seed {self.seed}: {segments} segments, {_said(point)}")
            yield point

    def random(self, most_flops: float) -> Arm:
        """Networks drawn evenly, after the default one."""
        return self._search(optuna.samplers.RandomSampler(self.seed), optuna.pruners.NopPruner(), most_flops, "random")

    def hyperband(self, most_flops: float) -> Arm:
        """Networks that TPE draws, after the default one, of which Hyperband stops the worse ones."""
        pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=_SEGMENTS)
        return self._search(optuna.samplers.TPESampler(seed=self.seed), pruner, most_flops, "TPE")

    def _search(
        self, sampler: optuna.samplers.BaseSampler, pruner: optuna.pruners.BasePruner, most_flops: float, what: str
    ) -> Arm:
        study = optuna.create_study(sampler=sampler, pruner=pruner, study_name=f"{what}-{self.seed}")
        study.enqueue_trial(self._default_choices())
        arm: Arm = []
        spent, best = 0.0, math.inf
        while spent < most_flops:
            trial = study.ask()
            architecture = self._drawn(trial)
            flops, loss = self._train(architecture, _pruning(trial))
            spent += flops
            if math.isfinite(loss):
                study.tell(trial, loss)
            else:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            if loss < best:
                best = loss
                arm.append(Point(spent, loss, architecture.params))
                say(f"{self.bench.name}, {what}, seed {self.seed}: network {trial.number + 1}, {_said(arm[-1])}")
        return arm

    def _default_choices(self) -> dict[str, float]:
        return {**dict.fromkeys(self.convolutions, 1.0), **dict.fromkeys(self.activations, 0)}

    def _drawn(self, trial: optuna.Trial) -> Architecture:
        widths = {name: trial.suggest_categorical(name, _WIDTHS) for name in self.convolutions}
        branches = {name: trial.suggest_int(name, 0, _MOST_BRANCHES) for name in self.activations}
        architecture = self.recipe.architecture
        nodes = tuple(
            node.updated(channels=max(2, round(node.channels * widths[node.name]))) if isinstance(node, Conv) else node
            for node in architecture.nodes
        )
        architecture = architecture.updated(nodes=nodes)
        for name, number in branches.items():
            for _ in range(number):
                architecture = AddLayer(node=name).apply(architecture, {}).architecture
        return architecture

    def _train(
        self, architecture: Architecture, stops: Callable[[int, float], bool], segments: int = _SEGMENTS
    ) -> tuple[float, float]:
        """The operations and the loss at the end; infinite where `stops` said after a look that this is enough."""
        laboratory, recipe, spent = self.bench.laboratory, self.recipe.updated(architecture=architecture), 0.0
        start, position = None, 0
        lengths = [self.segment] * segments + [_COOLING]
        for step, samples in enumerate(lengths, start=1):
            schedule = _LINEAR if step > segments else _CONSTANT if step == 1 else _CONSTANT.updated(arguments={})
            piece = Slice(samples=samples, evaluate_every=samples, first_sample=position)
            spec = laboratory.spec(recipe.updated(schedule=schedule), piece, self.seed, start)
            result = laboratory.found(spec) or laboratory.train(spec, lambda progress: None)
            spent += _flops(result)
            if step <= segments and stops(step, result.steer_loss):
                return spent, math.inf
            start = start_of(result)
            position += samples
        return spent, result.steer_loss


def _pruning(trial: optuna.Trial) -> Callable[[int, float], bool]:
    def stops(step: int, loss: float) -> bool:
        trial.report(loss, step)
        return trial.should_prune()

    return stops


def flops_to(target: float, arm: Arm) -> float:
    """The operations with which the loss first is at most the target; infinite where it never is."""
    return next((point.flops for point in arm if point.loss <= target), math.inf)


def _print_arms(bench: Bench, seed: int, target: float, arms: dict[str, Arm]) -> None:
    lines = []
    for name, arm in arms.items():
        best, reached = min(arm, key=lambda point: point.loss), flops_to(target, arm)
        shown = f"{reached / 1e12:.2f}" if math.isfinite(reached) else "not reached"
        lines.append((name, shown, f"{best.loss:.4f}", f"{best.flops / 1e12:.2f}", f"{best.params:,}"))
    columns = ("search", f"TFLOP to {target:.4f}", "lowest loss", "TFLOP to that", "its parameters")
    print_table(f"Inheriting weights against starting over: {bench.name}, seed {seed}", columns, lines)


def _ratio(others: float, ours: float) -> float:
    return others / ours if math.isfinite(others) or math.isfinite(ours) else math.nan


def _row(bench: Bench, seeds: Sequence[int], runs: Sequence[tuple[float, dict[str, Arm]]]) -> Row:
    ratios, unsearched = [], []
    for target, arms in runs:
        ours = flops_to(target, arms["edits"])
        others = min(flops_to(target, arm) for name, arm in arms.items() if name not in ("edits", _NO_SEARCH))
        ratios.append(_ratio(others, ours))
        unsearched.append(_ratio(flops_to(target, arms[_NO_SEARCH]), ours))
    ratio = statistics.median(ratios)
    said = ", ".join(f"{each:.2f}" for each in ratios)
    return Row(
        figure=f"{bench.name}: operations to 95 % of the default's validation loss, the better of random and Optuna's "
        "over ours",
        target=f"≥ {_GOAL:g}×",
        value=ratio if math.isfinite(ratio) else 0.0,
        shown=f"{ratio:.2f}× ({said}; inf: only edits came there, 0: only the others); of the default network trained "
        f"for longer, without a search: {', '.join(f'{each:.2f}' for each in unsearched)}",
        met=ratio >= _GOAL,
        seeds=f"seeds {', '.join(map(str, seeds))}",
        details={"runs": [{"target": target, "arms": arms} for target, arms in runs]},
    )


if __name__ == "__main__":
    main()
