"""Which channels can a network do without: how much loss does narrowing cost, by what tells the channels apart?

    python -m benchmarks.narrowing           # four seeds, 5 minutes on one core
    python -m benchmarks.narrowing --full    # ten seeds

The network that a study starts with and the classic one (on digits at twice their size) are trained on 1,200
digits for 2 and for 10 epochs. Then each layer alone is narrowed to a part of its channels, with the calibrations of
`narrow_layer` and no training. The figure is what the cross-entropy of the other 597 digits rises by, over layers and
seeds.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Mapping
from statistics import mean

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional as F

from benchmarks.rows import print_table
from modules.architecture.classic import classic_architecture
from modules.architecture.description import Architecture
from modules.architecture.initialisation.kaiming import Kaiming
from modules.architecture.module import Network, build_module, initial_tensors
from modules.architecture.start import first_architecture
from modules.edits.changes import Array
from modules.edits.editing import calibrated
from modules.edits.effects import first_order_effects
from modules.edits.narrow_layer import NarrowLayer

_TRAINED, _MEASURED = 1200, 256
_EPOCHS = (2, 10)
_FACTORS = (0.75, 0.5, 0.25)

Effects = Mapping[str, Array] | None
_WAYS: dict[str, Callable[[Network, Tensor, Tensor], Effects]] = {
    "magnitude of the weights": lambda network, images, labels: None,
    "Taylor, as published": lambda network, images, labels: first_order_effects(network, images, labels, 0.0, False),
    "Taylor, smoothed labels": lambda network, images, labels: first_order_effects(network, images, labels, 0.5, False),
    "Taylor, smoothed, centred": first_order_effects,
    "random": lambda network, images, labels: _random_effects(network),
}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="ten seeds instead of four")
    seeds = range(100, 110 if parser.parse_args().full else 104)
    torch.set_num_threads(1)
    rises: dict[tuple[str, int, float], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for name, architecture, images in _networks():
        for epochs in _EPOCHS:
            for seed in seeds:
                _measure(architecture, images, epochs, seed, rises, name)
    lines = [
        [name, str(epochs), f"{factor:g}", *(f"{mean(ways[way]):.4f}" for way in _WAYS)]
        for (name, epochs, factor), ways in rises.items()
    ]
    title = f"What narrowing a layer costs, {len(seeds)} seeds: rise of the loss"
    print_table(title, ["network", "epochs", "kept", *_WAYS], sorted(lines, key=lambda line: (line[0], line[1])))


def _networks() -> list[tuple[str, Architecture, Tensor]]:
    digits = torch.tensor(load_digits().images[:, None] / 16, dtype=torch.float32)
    large = F.interpolate(digits, scale_factor=2, mode="bilinear")
    return [
        ("start", first_architecture((1, 8, 8), 10, _TRAINED, (0.31,), (0.38,)), digits),
        ("classic", classic_architecture((1, 16, 16), 10, _TRAINED, (0.31,), (0.38,)), large),
    ]


def _measure(
    architecture: Architecture,
    images: Tensor,
    epochs: int,
    seed: int,
    rises: dict[tuple[str, int, float], dict[str, list[float]]],
    name: str,
) -> None:
    """Train with a seed, narrow each layer alone in each way, and note what that costs."""
    labels = torch.tensor(load_digits().target)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    trained, others, measured = order[:_TRAINED], order[_TRAINED:], order[:_MEASURED]
    network = _trained(architecture, images[trained], labels[trained], epochs, seed)
    weights = {tensor: values.numpy() for tensor, values in network.state_dict().items()}
    before = _loss(network, images[others], labels[others])
    for way, measure in _WAYS.items():
        effects = measure(network, images[measured], labels[measured])
        for site in NarrowLayer.sites(architecture):
            for factor in _FACTORS:
                edited = NarrowLayer(**site, factor=factor).apply(architecture, weights, effects)
                narrow, _ = calibrated(edited, network, weights, 0, images[measured])
                rise = _loss(narrow, images[others], labels[others]) - before
                rises[name, epochs, factor][way].append(rise)


def _trained(architecture: Architecture, images: Tensor, labels: Tensor, epochs: int, seed: int) -> Network:
    network = build_module(architecture)
    first = initial_tensors(architecture, Kaiming(), seed)
    network.load_state_dict({tensor: torch.from_numpy(values) for tensor, values in first.items()})
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            F.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()
    return network.eval()


def _loss(network: Network, images: Tensor, labels: Tensor) -> float:
    with torch.no_grad():
        return float(F.cross_entropy(network(images), labels))


def _random_effects(network: Network) -> Effects:
    generator = np.random.default_rng(0)
    widths = {name.removesuffix(".weight"): values.shape for name, values in network.state_dict().items()}
    return {
        name: generator.normal(size=(1, shape[1])).astype(np.float32)
        for name, shape in widths.items()
        if len(shape) > 1
    }


if __name__ == "__main__":
    main()
