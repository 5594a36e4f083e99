"""The classic network of the MNIST tutorials: two convolutions, two pools, two dense layers."""

from modules.architecture.description import IMAGE, Architecture
from modules.architecture.nodes import Activation, Conv, Dense, Flatten, MaxPool, Standardise


def classic_architecture(
    image_shape: tuple[int, int, int],
    num_classes: int,
    num_images: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> Architecture:
    """Two unpadded 3x3 convolutions (32, 64; ReLU; 2x2 max-pool), dense 64, dense classes."""
    return Architecture(
        image_shape=image_shape,
        num_classes=num_classes,
        nodes=(
            Standardise(name="standardise1", inputs=(IMAGE,), mean=mean, std=std),
            Conv(name="conv1", inputs=("standardise1",), channels=32, kernel=3),
            Activation(name="activation1", inputs=("conv1",)),
            MaxPool(name="pool1", inputs=("activation1",), kernel=2, stride=2),
            Conv(name="conv2", inputs=("pool1",), channels=64, kernel=3),
            Activation(name="activation2", inputs=("conv2",)),
            MaxPool(name="pool2", inputs=("activation2",), kernel=2, stride=2),
            Flatten(name="flatten1", inputs=("pool2",)),
            Dense(name="dense1", inputs=("flatten1",), units=64),
            Activation(name="activation3", inputs=("dense1",)),
            Dense(name="dense2", inputs=("activation3",), units=num_classes),
        ),
    )
