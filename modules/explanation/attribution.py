"""What the methods share: the question that they answer, the maps that they answer with, and Captum, imported late."""

from types import ModuleType
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modules.architecture.module import Network
from modules.errors import ConfigError
from modules.evaluation.observing import as_batch
from modules.extras import install_command

Maps = NDArray[np.float32]  # N x height x width; above zero speaks for the class, below against it

INSTALL = install_command("explain")


class NoMapError(Exception):
    """A method that this network gives nothing to work with; the message says why."""


class Question(NamedTuple):
    """What speaks for `classes` (N) in `images` (N x C x H x W, in [0, 1]), compared with a plain pixel (C)?

    The plain image is the mean of the training images, so that a pixel that is taken out is neither black nor white.
    """

    images: Tensor
    classes: Tensor
    plain_pixel: Tensor

    @property
    def plain(self) -> Tensor:
        """As many plain images."""
        return self.plain_pixel.expand_as(self.images).contiguous()


class Method(Protocol):
    """A way to answer."""

    def __call__(self, network: Network, question: Question) -> Maps:
        """A map for each image; NoMapError where there can be none."""


def question_of(images: NDArray[np.uint8], classes: NDArray[np.int64], mean: tuple[float, ...]) -> Question:
    """Of uint8 images (N x H x W x C) and the training images' mean of each channel."""
    plain = torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1)
    return Question(as_batch(images).contiguous(), torch.from_numpy(np.ascontiguousarray(classes)), plain)


def captum() -> ModuleType:
    """Captum's attributions; ConfigError that says how to install them where they are missing."""
    try:
        import captum.attr
    except ModuleNotFoundError as error:
        raise ConfigError(f"explanations need Captum, which is not installed here: {INSTALL}") from error
    return captum.attr


def as_maps(attributions: Tensor) -> Maps:
    """N x C x H x W summed over the channels."""
    maps: Maps = attributions.detach().sum(dim=1).float().numpy()
    return maps
