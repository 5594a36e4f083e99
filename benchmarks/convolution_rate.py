"""How much of the machine does a training of the classic network use, and how much faster is it than Keras's?

    python -m benchmarks.convolution_rate mnist=DIR                                            # the first figure alone
    python -m benchmarks.convolution_rate --keras-python keras-venv/bin/python mnist=DIR       # both; 3 minutes
    python -m benchmarks.convolution_rate --full --keras-python keras-venv/bin/python mnist=DIR

Both train as `experiment=classic_cnn` says.

- At batches of 128: the operations a second of a trial's own Trainer as a share of those that bare convolutions reach,
  forward and backward, of the network's shapes, with the same memory layout, precision and threads. They take turns in
  one process: before each block of updates, the same convolutions are done as often. Of both, matrix products are
  counted, three times those of the forward pass, and nothing else: pooling, ReLU, the optimiser, making batches and
  Lightning only cost. (The first convolution's share is counted whole, though nobody asks for the gradient of images;
  that goes for both sides.)
- At batches of 32: seconds an epoch, the look at the validation images included, of a trial in a worker and of
  benchmarks/keras_classic.py, which says how to make Keras's environment, on as many images. They take turns, and of
  each run the first epoch, which warms up, does not count.
"""

import argparse
import statistics
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.keras_classic import run_keras
from benchmarks.rows import Row, print_rows
from benchmarks.trainings import Bench, add_arguments, opened_benches, say, split_arguments
from benchmarks.turns import TakingTurns
from modules.architecture.description import Architecture
from modules.architecture.nodes import Conv
from modules.training.spec import TrialSpec

_CLASSIC = "experiment=classic_cnn"
_LEAST_SHARE = 0.6
_LEAST_SPEEDUP = 2.5
_BATCH_SIZE = 128
_FORWARD_AND_BACKWARD = 3  # times the forward pass
_SEED = 0


class Convolutions:
    """The bare convolutions of a network: weights and inputs in the training's precision, gradients that come back."""

    def __init__(self, architecture: Architecture, batch_size: int, dtype: torch.dtype) -> None:
        self.layers: list[tuple[Conv, Tensor, Tensor, Tensor]] = []  # with images, weight, gradient of the output
        self.flops = 0  # of one pass over all, forward and backward
        shapes = architecture.shapes()
        for node in architecture.nodes:
            if isinstance(node, Conv):
                shape, output = architecture.input_shape(node.name), shapes[node.name]
                images = _random((batch_size, *shape), dtype).requires_grad_(bool(self.layers))
                weight = _random((node.channels, shape[0], node.kernel, node.kernel), dtype).requires_grad_()
                self.layers.append((node, images, weight, _random((batch_size, *output), dtype)))
                self.flops += _FORWARD_AND_BACKWARD * batch_size * node.product_flops(shape, output)

    def run(self, times: int) -> None:
        """Each of them so many times, forward and backward."""
        for _ in range(times):
            for node, images, weight, gradient in self.layers:
                output = nn.functional.conv2d(images, weight, stride=node.stride, padding=node.padding)
                torch.autograd.grad(output, [each for each in (images, weight) if each.requires_grad], gradient)


def _random(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return torch.randn(shape).to(dtype).to(memory_format=torch.channels_last)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--updates", type=int, default=20, help="of a block")
    parser.add_argument("--blocks", type=int, default=15, help="that count")
    parser.add_argument("--keras-python", type=Path, help="the interpreter that has Keras, for the second figure")
    parser.add_argument("--epochs", type=int, default=3, help="of a run, the first of which does not count")
    parser.add_argument("--full", dest="rounds", action="store_const", const=3, default=1, help="three runs of each")
    arguments = parser.parse_intermixed_args()
    torch.set_num_threads(arguments.threads)
    folders, _ = split_arguments(arguments.arguments)
    rows = []
    with opened_benches(arguments) as benches:
        for bench in benches:
            rows.append(_measure_share(bench, arguments.updates, arguments.blocks))
            if arguments.keras_python:
                rows.append(_measure_epochs(bench, folders[bench.name], arguments))
    print_rows(rows)


def _measure_share(bench: Bench, updates: int, blocks: int) -> Row:
    training = bench.training(bench.recipe(_CLASSIC).updated(batch_size=_BATCH_SIZE), (blocks + 3) * updates, _SEED)
    spec = training.spec
    dtype = torch.bfloat16 if spec.numerics.precision == "bfloat16" else torch.float32
    convolutions = Convolutions(spec.recipe.architecture, spec.recipe.batch_size, dtype)
    turns = TakingTurns(convolutions.run, updates, blocks)
    training.run_with([turns, training.decay, training.average])
    return _share_row(bench, spec, convolutions, turns)


def _share_row(bench: Bench, spec: TrialSpec, convolutions: Convolutions, turns: TakingTurns) -> Row:
    batch_size = spec.recipe.batch_size
    training_flops = _FORWARD_AND_BACKWARD * batch_size * spec.recipe.architecture.product_flops * turns.updates
    bare_flops = convolutions.flops * turns.updates
    bare = [bare_flops / seconds for seconds in turns.other_seconds[1:]]
    reached = [training_flops / seconds for seconds in turns.training_seconds[1:]]
    shares = [one / other for one, other in zip(reached, bare, strict=False)]
    share, (low, high) = statistics.median(shares), np.percentile(shares, [25, 75])
    gigaflops = [statistics.median(rates) / 1e9 for rates in (reached, bare)]
    return Row(
        figure=f"{bench.name}, {_CLASSIC}, batches of {batch_size}: share of the rate of bare convolutions",
        target=f"≥ {_LEAST_SHARE:.0%}",
        value=round(share, 4),
        shown=f"{share:.0%} (quartiles {low:.0%} to {high:.0%}): {gigaflops[0]:.0f} of {gigaflops[1]:.0f} GFLOP/s "
        f"in {spec.numerics.precision}",
        met=share >= _LEAST_SHARE,
        seeds=f"seed {spec.seed}, {len(shares)} blocks of {turns.updates} updates",
        details={
            "bare_seconds": [round(each, 5) for each in turns.other_seconds],
            "training_seconds": [round(each, 5) for each in turns.training_seconds],
            "numerics": spec.numerics.model_dump(mode="json"),
        },
    )


def _measure_epochs(bench: Bench, root: str, arguments: argparse.Namespace) -> Row:
    recipe = bench.recipe(_CLASSIC)
    num_train, num_steer = bench.num_train(recipe), bench.laboratory.data.num_images["steer"]
    ours: list[float] = []
    keras: list[float] = []
    for seed in range(arguments.rounds):
        result = bench.train(_CLASSIC, recipe, seed, arguments.epochs, arguments.epochs)
        assert result is not None, "the classic settings do not explode"
        marks = [point.seconds for point in result.curve]
        ours += [after - before for before, after in pairwise(marks)]
        options = {
            "seed": seed,
            "epochs": arguments.epochs,
            "patience": arguments.epochs,
            "batch-size": recipe.batch_size,
            "train-images": num_train,
            "validation-images": num_steer,
            "threads": arguments.threads,
        }
        epochs = run_keras(arguments.keras_python, root, *(f"--{name}={value}" for name, value in options.items()))
        keras += [epoch["epoch_seconds"] for epoch in epochs[1:]]
        say(f"{bench.name}, seconds an epoch: ours {ours}, Keras {keras}")
    return _epochs_row(bench.name, ours, keras, recipe.batch_size, num_train)


def _epochs_row(name: str, ours: list[float], keras: list[float], batch_size: int, num_train: int) -> Row:
    ratio = statistics.median(keras) / statistics.median(ours)
    return Row(
        figure=f"{name}, {_CLASSIC}, batches of {batch_size}: an epoch against Keras's",
        target=f"≥ {_LEAST_SPEEDUP}×",
        value=round(ratio, 3),
        shown=f"{ratio:.1f}× ({statistics.median(ours):.1f} s against {statistics.median(keras):.1f} s for "
        f"{num_train:,} images)",
        met=ratio >= _LEAST_SPEEDUP,
        seeds=f"{len(ours)} epochs of each, medians",
        details={"ours": [round(each, 3) for each in ours], "keras": [round(each, 3) for each in keras]},
    )


if __name__ == "__main__":
    main()
