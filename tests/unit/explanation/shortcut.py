"""Images of noise whose class a mark in the top left corner gives away, and a network that has found the mark."""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from modules.architecture.description import IMAGE, Architecture
from modules.architecture.module import Network
from modules.architecture.nodes import Activation, Conv, Dense, GlobalPool, MaxPool, Standardise
from modules.evaluation.observing import as_batch
from modules.explanation.attribution import Question, question_of
from modules.explanation.sanity import randomised

SIDE, MARK = 16, 4
CORNER = (slice(0, MARK), slice(0, MARK))


class Shortcut(NamedTuple):
    """A trained network, images that it has not seen, their labels and the question why it thinks what it thinks."""

    network: Network
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    question: Question


def marked_images(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Noise; in the corner lying stripes for class 0 and standing ones for class 1, no brighter than the noise."""
    drawn = np.random.default_rng(seed)
    images = drawn.integers(60, 190, (count, SIDE, SIDE, 1)).astype(np.uint8)
    labels = np.arange(count) % 2
    stripes = np.where(np.arange(MARK) % 2, 185, 65).astype(np.uint8)
    images[labels == 0, :MARK, :MARK, 0] = stripes[:, None]
    images[labels == 1, :MARK, :MARK, 0] = stripes[None, :]
    return images, labels


ARCHITECTURE = Architecture(
    image_shape=(1, SIDE, SIDE),
    num_classes=2,
    nodes=(
        Standardise(name="standardise1", inputs=(IMAGE,), mean=(0.5,), std=(0.2,)),
        Conv(name="conv1", inputs=("standardise1",), channels=8, kernel=3, padding=1),
        Activation(name="act1", inputs=("conv1",)),
        MaxPool(name="pool1", inputs=("act1",), kernel=2, stride=2),
        Conv(name="conv2", inputs=("pool1",), channels=8, kernel=3, padding=1),
        Activation(name="act2", inputs=("conv2",)),
        GlobalPool(name="pool2", inputs=("act2",), kind="max"),
        Dense(name="dense1", inputs=("pool2",), units=2),
    ),
)


@cache
def shortcut() -> Shortcut:
    """Trained once for all tests of a process."""
    network = randomised(ARCHITECTURE, seed=7).train()
    images, labels = marked_images(256, seed=0)
    batch, truth = as_batch(images), torch.from_numpy(labels)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01, weight_decay=0.1)
    for _ in range(150):
        loss = F.cross_entropy(network(batch), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    unseen, classes = marked_images(16, seed=1)
    with torch.inference_mode():
        predicted = network(as_batch(unseen)).argmax(dim=1).numpy()
    assert (predicted == classes).all()
    return Shortcut(network, unseen, classes, question_of(unseen, predicted, (0.5,)))
