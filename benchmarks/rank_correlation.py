"""Does a slice tell the end? Kendall's tau between an edit's effect after a slice and after full training.

A trunk is trained on a third of Fashion-MNIST; from it edits of every kind are applied at sites drawn evenly, each
trained for slices of growing length at a constant rate and then, cooled down, to the end; controls with several seeds
go the same way. Effects are differences of mean cross-entropy on *steer*, child minus mean of controls.

    python -m benchmarks.rank_correlation data=fashion_mnist data.root=DIR            # about half an hour on 2 cores
    python -m benchmarks.rank_correlation --edits 2 --full-samples 16000 …            # a quick look
    python -m benchmarks.rank_correlation --slices 4000 8000 …                        # what halving a slice would lose

The last rows say how often halving would go wrong: of six edits drawn at random, the better three after each slice but
the longest are looked for the one that is best after the next.

Prints a row a kind, writes the effects as JSON and the plot as SVG, and needs ESPALIER_HOME like `espalier run`.
"""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

from benchmarks.rows import machine
from flows.translation import configured_data, configured_recipe
from modules.config import Settings, home_folder, resolve
from modules.edits.add_layer import AddLayer
from modules.energy.meter import MeterChoice
from modules.parts import resolve as resolve_part
from modules.randomness import uniform, words
from modules.recipe import Recipe
from modules.records import DataRecord, Numerics, Part, TrialResult
from modules.search.climbing import start_of
from modules.search.laboratory import Inherited, Laboratory
from modules.store import Store
from modules.training.spec import Slice, Start
from modules.workers.pool import WorkerPool

_CONSTANT = Part(target="modules.training.schedules.constant.Constant")
_LINEAR = Part(target="modules.training.schedules.linear.Linear")
_SLICES = (8_000, 16_000, 32_000)
_HALVED = 6  # edits of a generation that would be halved
_CONTROL_SEEDS = 3
_STRENGTHS = {
    "WidenLayer": [{"factor": 1.25}, {"factor": 2.0}],
    "NarrowLayer": [{"factor": 0.75}, {"factor": 0.5}],
}


class Lengths(NamedTuple):
    """Samples of the slices, shortest first, and of the cool-down after the longest."""

    slices: tuple[int, ...]
    full: int


class Course(NamedTuple):
    """Losses on *steer* after each slice and at the end, of one recipe with one seed."""

    kind: str
    description: str
    slices: tuple[float, ...]
    end: float


def main() -> None:
    """Measure, print, plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="as for `espalier run`, such as data=fashion_mnist data.root=DIR")
    parser.add_argument("--edits", type=int, default=8, help="edits of each kind")
    parser.add_argument("--fraction", type=float, default=1 / 3, help="of the training images")
    parser.add_argument("--slices", type=int, nargs="+", default=_SLICES, help="in samples; multiples of the first")
    parser.add_argument("--full-samples", type=int, default=48_000, help="of the cool-down after the longest slice")
    parser.add_argument("--output", type=Path, default=Path("rank_correlation"), help="stem of the JSON and SVG files")
    arguments = parser.parse_args()
    selection = ["selection=random", f"selection.fraction={arguments.fraction}"]
    settings = resolve([*selection, *arguments.overrides])
    home = home_folder()
    cores = len(os.sched_getaffinity(0))
    with WorkerPool(cores, 1, home / "logs", "modules.training.trial") as pool:
        lengths = Lengths(tuple(arguments.slices), arguments.full_samples)
        controls, children = _measure(settings, home, pool, arguments.edits, lengths, cores)
    rows = _rows(controls, children, lengths.slices)
    arguments.output.with_suffix(".json").write_text(
        json.dumps({"machine": machine(), "controls": controls, "children": children, "rows": rows}, indent=1)
    )
    _plot(controls, children, lengths.slices, arguments.output.with_suffix(".svg"))
    print("\n".join(rows))


def _measure(
    settings: Settings, home: Path, pool: WorkerPool, per_kind: int, lengths: Lengths, cores: int
) -> tuple[list[Course], list[Course]]:
    record = configured_data(settings, Store(home / "store"))
    wished = {"precision": "auto", "accelerator": "cpu", "devices": 1, "strategy": "auto"}
    described = pool.call("modules.training.numerics.describe_numerics", wished)
    numerics = Numerics.model_validate(described)
    laboratory = Laboratory(home, pool, numerics, record, balanced=False, meter=MeterChoice())
    recipe = _deepened(_first(settings, record, lengths.slices[0])).updated(schedule=_CONSTANT)
    trunk = _trained(laboratory, recipe, Slice(samples=64_000, evaluate_every=16_000), 0, None)
    print(f"trunk: {recipe.architecture.params:,} parameters, steer error {trunk.steer_error:.2%}", flush=True)
    proposals = _proposals(settings, recipe, per_kind)

    def control(seed: int) -> Course:
        start = start_of(trunk)
        return _follow(laboratory, recipe, start, trunk.samples, seed, lengths, "control", f"seed {seed}")

    def child(kind: str, edit: Part) -> Course | None:
        inherited = laboratory.inherit(edit, recipe, trunk, seed=0)
        if not isinstance(inherited, Inherited):
            return None
        edited = inherited.recipe
        return _follow(laboratory, edited, inherited.start, trunk.samples, 0, lengths, kind, inherited.description)

    with ThreadPoolExecutor(cores) as threads:
        controls = list(threads.map(control, range(0, 1000 * _CONTROL_SEEDS, 1000)))
        children = list(threads.map(lambda each: child(*each), proposals))
    return controls, [each for each in children if each is not None]


def _first(settings: Settings, data: DataRecord, shortest: int) -> Recipe:
    recipe = configured_recipe(settings, data).updated(augmentation=settings.augmentation.transforms)
    if settings.averaging.arguments.get("half_life_samples", 0) is not None:
        return recipe
    # The rule's half-life is a fraction of the slice of a study; here it is that of the shortest slice.
    arguments = {**recipe.averaging.arguments, "half_life_samples": shortest / 8}
    return recipe.updated(averaging=recipe.averaging.updated(arguments=arguments))


def _deepened(recipe: Recipe) -> Recipe:
    """With a residual branch behind its second activation, so that there is something to remove."""
    names = [node.name for node in recipe.architecture.nodes if node.op == "activation"]
    edited = AddLayer(node=names[1]).apply(recipe.architecture, {})
    return recipe.updated(architecture=edited.architecture)


def _proposals(settings: Settings, recipe: Recipe, per_kind: int) -> list[tuple[str, Part]]:
    found = []
    for edit in settings.search.edits:
        sites = [
            {**edit.arguments, **site, **strength}
            for site in resolve_part(edit.target).sites(recipe.architecture)
            for strength in _STRENGTHS.get(edit.name, [{}])
        ]
        order = np.argsort([float(uniform("rank correlation", edit.name, index)) for index in range(len(sites))])
        for index in order[:per_kind]:
            found.append((edit.name, Part(target=edit.target, arguments=sites[index])))
    return sorted(found, key=lambda each: int(words("shuffle", each[0], str(each[1].arguments))))


def _trained(laboratory: Laboratory, recipe: Recipe, piece: Slice, seed: int, start: Start | None) -> TrialResult:
    spec = laboratory.spec(recipe, piece, seed, start)
    return laboratory.found(spec) or laboratory.train(spec, lambda progress: None)


def _follow(
    laboratory: Laboratory,
    recipe: Recipe,
    start: Start,
    position: int,
    seed: int,
    lengths: Lengths,
    kind: str,
    description: str,
) -> Course:
    shortest, longest = lengths.slices[0], lengths.slices[-1]
    piece = Slice(samples=longest, evaluate_every=shortest, first_sample=position)
    sliced = _trained(laboratory, recipe, piece, seed, start)
    looks = {round(point.samples / shortest): point.steer_loss for point in sliced.curve}
    cooled = recipe.updated(schedule=_LINEAR)
    end = Slice(samples=lengths.full, evaluate_every=lengths.full, first_sample=position + sliced.samples)
    after = start_of(sliced)
    final = _trained(laboratory, cooled, end, seed, after)
    slices = tuple(looks[round(samples / shortest)] for samples in lengths.slices)
    print(f"{kind}: {description}: {slices} -> {final.steer_loss:.4f} ({final.steer_error:.2%})", flush=True)
    return Course(kind, description, slices, final.steer_loss)


def _effects(controls: Sequence[Course], children: Sequence[Course], seen: Callable[[Course], float]) -> list[float]:
    reference = float(np.mean([seen(each) for each in controls]))
    return [seen(each) - reference for each in children]


def _rows(controls: Sequence[Course], children: Sequence[Course], slices: Sequence[int]) -> list[str]:
    rows = [
        "| kind | edits | " + " | ".join(f"tau, slice of {samples:,}" for samples in slices) + " |",
        "| --- | --- |" + " --- |" * len(slices),
    ]
    for kind in ("all", *sorted({each.kind for each in children})):
        chosen = [each for each in children if kind in ("all", each.kind)]
        ends = _effects(controls, chosen, lambda each: each.end)
        taus = []
        for index in range(len(slices)):
            effects = _effects(controls, chosen, lambda each, index=index: each.slices[index])  # type: ignore[misc]
            taus.append(_tau(effects, ends))
        rows.append(f"| {kind} | {len(chosen)} | " + " | ".join(taus) + " |")
    for index, samples in enumerate(slices):
        losses = [each.slices[index] for each in controls]
        rows.append(f"control after {samples:,}: {np.mean(losses):.4f}, between seeds {np.std(losses, ddof=1):.4f}")
    ends = [each.end for each in controls]
    rows += [
        f"of {_HALVED} edits the best after {later:,} is among the better half after {earlier:,}: {share:.0%}"
        for (earlier, later), share in zip(pairwise(slices), _survivals(children), strict=True)
    ]
    rows.append(f"control at the end: {np.mean(ends):.4f}, between seeds {np.std(ends, ddof=1):.4f}")
    return rows


def _survivals(children: Sequence[Course]) -> list[float]:
    """How often the best after a slice would have survived a halving after the slice before it."""
    losses, numbers = np.array([each.slices for each in children]), np.random.default_rng(0)
    drawn = [numbers.permutation(len(children))[:_HALVED] for _ in range(2000)]
    return [
        float(
            np.mean(
                [np.argmin(losses[some, late]) in np.argsort(losses[some, late - 1])[: _HALVED // 2] for some in drawn]
            )
        )
        for late in range(1, losses.shape[1])
    ]


def _tau(effects: Sequence[float], ends: Sequence[float]) -> str:
    """Kendall's tau with a bootstrap interval over the edits."""
    if len(effects) < 3:
        return "–"
    tau = float(stats.kendalltau(effects, ends).statistic)
    numbers = np.random.default_rng(0)
    resampled = []
    for _ in range(2000):
        chosen = numbers.integers(0, len(effects), len(effects))
        if len(set(chosen)) > 2:
            resampled.append(stats.kendalltau(np.array(effects)[chosen], np.array(ends)[chosen]).statistic)
    low, high = np.nanpercentile(resampled, [2.5, 97.5])
    return f"{tau:.2f} ({low:.2f} to {high:.2f})"


def _plot(controls: Sequence[Course], children: Sequence[Course], slices: Sequence[int], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(slices), figsize=(4 * len(slices), 4), sharey=True, layout="constrained")
    for index, (samples, axis) in enumerate(zip(slices, axes, strict=True)):
        for kind in sorted({each.kind for each in children}):
            chosen = [each for each in children if each.kind == kind]
            effects = _effects(controls, chosen, lambda each, index=index: each.slices[index])  # type: ignore[misc]
            axis.scatter(effects, _effects(controls, chosen, lambda each: each.end), label=kind, s=18)
        axis.axhline(0, color="grey", linewidth=0.5)
        axis.axvline(0, color="grey", linewidth=0.5)
        axis.set_xlabel(f"effect after {samples:,} samples (nats)")
    axes[0].set_ylabel("effect after full training (nats)")
    axes[0].legend(fontsize=8)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
