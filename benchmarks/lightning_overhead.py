"""What does Lightning cost? A trial's own Trainer against a plain loop of the same training, at batches of 128.

    python -m benchmarks.lightning_overhead                 # made-up images of 28 x 28; a minute or two on 2 cores
    python -m benchmarks.lightning_overhead mnist=DIR

Both loops train the same network on the same augmented batches with the same optimiser, schedule, average and
precision. They take turns in one process: whenever Lightning has done a block of updates, a callback does the same
block of the plain loop, so that nothing but the updates is timed and both meet the same weather. What counts is the
median over the blocks of Lightning's seconds divided by the plain loop's, less 1. At the end both must hold the same
weights and averages bit for bit, which shows that they did the same.
"""

import argparse
import os
import statistics
import struct
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from benchmarks.rows import Row, print_rows
from benchmarks.turns import TakingTurns
from flows.translation import configured_data, configured_recipe
from modules.config import resolve
from modules.randomness import seed_for
from modules.store import Store
from modules.training.numerics import numerics_of_this_process
from modules.training.optimizer import build_optimizer
from modules.training.spec import Slice, TrialSpec
from modules.training.training import Training

_BATCH_SIZE = 128
_MOST_OVERHEAD = 0.05
_NETWORKS = ("auto", "classic")
_SEED = 0


class PlainLoop:
    """The updates of a trial, written out."""

    def __init__(self, training: Training) -> None:
        self.training = training
        self.optimizer = build_optimizer(training.spec.recipe.optimizer, training.network)
        self.bfloat16 = training.spec.numerics.precision == "bfloat16"
        self.averages, self.weights = map(_floats, (training.average.network, training.network))

    def run(self, updates: int) -> None:
        """Train on the next batches."""
        training, recipe, history = self.training, self.training.spec.recipe, self.training.history
        for _ in range(updates):
            batch = training.data.next_batch()
            rate = recipe.learning_rate * training.decay.schedule.factor(history.progress)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            torch.manual_seed(seed_for(training.spec.seed, "step", history.samples))  # dropout
            self.optimizer.zero_grad()
            total = 0.0
            for images, targets in batch:
                with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
                    logits = training.network(images)
                    loss = nn.functional.cross_entropy(logits.float(), targets, label_smoothing=recipe.label_smoothing)
                    loss = loss * (len(images) / batch.size)
                loss.backward()
                total += float(loss.detach())
            if recipe.gradient_clip is not None:
                nn.utils.clip_grad_norm_(training.network.parameters(), recipe.gradient_clip)
            self.optimizer.step()
            history.count(batch.size, total)
            weight = training.average.averaging.weight(batch.size, history.samples, history.progress)
            with torch.no_grad():
                torch._foreach_lerp_(self.averages, self.weights, weight)


def _floats(network: nn.Module) -> list[Tensor]:
    return [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]


class Timed(Training):
    """A trial whose Trainer takes turns with a plain loop."""

    turns: TakingTurns

    def run_with(self, callbacks: list[pl.Callback]) -> None:
        """Also with the callback that takes turns, before all others."""
        super().run_with([self.turns, *callbacks])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", metavar="mnist=DIR", help="the folder of MNIST; made-up images without it")
    parser.add_argument("--updates", type=int, default=40, help="of a block")
    parser.add_argument("--blocks", type=int, default=15, help="that count; one more warms up")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        root = arguments.data.partition("=")[2] if arguments.data else make_up_images(home / "made_up")
        rows = [_measure(network, root, home, arguments.blocks, arguments.updates) for network in _NETWORKS]
    print_rows(rows)


def make_up_images(folder: Path, num_train: int = 12_800, num_test: int = 1_000) -> str:
    """Noise and random labels in MNIST's format."""
    folder.mkdir()
    random = np.random.default_rng(_SEED)
    for split, count in (("train", num_train), ("t10k", num_test)):
        images, labels = random.integers(0, 256, (count, 28, 28)), random.integers(0, 10, count)
        for name, values in ((f"{split}-images-idx3-ubyte", images), (f"{split}-labels-idx1-ubyte", labels)):
            header = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
            (folder / name).write_bytes(header + values.astype(np.uint8).tobytes())
    return str(folder)


def _measure(network: str, root: str, home: Path, blocks: int, updates: int) -> Row:
    # Lightning's last block that counts ends where the plain loop's last begins, hence one block more than is counted.
    spec = _spec(network, root, home, (blocks + 2) * updates)
    store = Store(home / "store")
    plain, lightning = Training(spec, home, store, _silent), Timed(spec, home, store, _silent)
    turns = lightning.turns = TakingTurns(PlainLoop(plain).run, updates)
    lightning.fit()
    _check_same(plain, lightning)
    return _row(network, spec, turns, updates)


def _silent(progress: dict[str, Any]) -> None:
    pass


def _spec(network: str, root: str, home: Path, updates: int) -> TrialSpec:
    settings = resolve(["data=mnist", f"data.root={root}", f"model={network}"])
    data = configured_data(settings, Store(home / "store"))
    recipe = configured_recipe(settings, data).updated(
        augmentation=settings.augmentation.transforms, batch_size=_BATCH_SIZE
    )
    samples = updates * recipe.batch_size
    piece = Slice(samples=samples, evaluate_every=samples)
    return TrialSpec(recipe=recipe, slice=piece, seed=_SEED, data=data, numerics=numerics_of_this_process())


def _check_same(plain: Training, lightning: Training) -> None:
    for ours, theirs in ((plain.network, lightning.network), (plain.average.network, lightning.average.network)):
        values = theirs.state_dict()
        different = [name for name, value in ours.state_dict().items() if not torch.equal(value, values[name])]
        if different:
            raise SystemExit(f"the two loops did not do the same: {', '.join(different)} differ, so no figure is given")


def _row(network: str, spec: TrialSpec, turns: TakingTurns, updates: int) -> Row:
    overheads = [ratio - 1 for ratio in turns.ratios()]
    overhead = statistics.median(overheads)
    low, high = np.percentile(overheads, [25, 75])
    update_ms = 1000 * statistics.median(turns.other_seconds[1:]) / updates
    return Row(
        figure=f"Lightning over a plain loop, model={network}, batches of {spec.recipe.batch_size}",
        target=f"≤ {_MOST_OVERHEAD:.0%}",
        value=round(overhead, 5),
        shown=f"{overhead:.1%} (quartiles {low:.1%} to {high:.1%}) of {update_ms:.2f} ms an update",
        met=overhead <= _MOST_OVERHEAD,
        seeds=f"seed {spec.seed}, {len(overheads)} blocks of {updates} updates",
        details={
            "lightning_seconds": [round(each, 5) for each in turns.training_seconds],
            "plain_seconds": [round(each, 5) for each in turns.other_seconds],
            "numerics": spec.numerics.model_dump(mode="json"),
            "params": spec.recipe.architecture.params,
        },
    )


if __name__ == "__main__":
    main()
