"""Reading published weights: tensors alone, whatever the file claims to be, under the names of our description."""

import pickle
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from modules.errors import ConfigError
from modules.pretrained.backbone import Backbone

REVISION = 1

_SHOWN = 3
_WRAPPERS = ("state_dict", "model", "model_state_dict")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file or of a pickled state dict, of which nothing but tensors is unpickled."""
    if path.suffix == ".safetensors":
        try:
            return safetensors.torch.load_file(path)
        except safetensors.SafetensorError as error:
            raise ConfigError(f"pretrained={path} is no whole safetensors file ({error}); allowed is another") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other pickles than its own, which are refused below
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ConfigError(
            f"pretrained={path} holds pickled objects, which could run code, so it was not opened; allowed are "
            "safetensors, or a state dict of tensors alone as torch.save(model.state_dict(), FILE) writes it"
        ) from None
    except (RuntimeError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"pretrained={path} cannot be read as weights ({reason}); allowed is another file") from None
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not all(isinstance(each, Tensor) for each in content.values()):
        raise ConfigError(f"pretrained={path} is no state dict, which has tensors by name; allowed is another file")
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def fitting(
    path: Path, tensors: Mapping[str, Tensor], backbones: Sequence[Backbone]
) -> tuple[Backbone, dict[str, Tensor]]:
    """The network whose tensors these are, and they under its own names; ConfigError says which do not fit.

    A file may have the published names or ours; its last layer, which is of other classes, is not looked at.
    """
    misfits: dict[str, list[str]] = {}
    for backbone in backbones:
        family = backbone.family
        architecture = family.architecture((family.channels, backbone.side, backbone.side), 2, backbone.side)
        published = family.tensor_names()
        names = published if any(name in tensors for name in published.values()) else {name: name for name in published}
        shapes = {name: spec.shape for name, spec in architecture.tensors().items() if name in names}
        misfits[backbone.name] = [
            _misfit(names[name], shape, tensors)
            for name, shape in shapes.items()
            if names[name] not in tensors or tuple(tensors[names[name]].shape) != shape
        ]
        if not misfits[backbone.name]:
            return backbone, {name: tensors[names[name]].float() for name in shapes}
    nearest = min(misfits, key=lambda name: len(misfits[name]))
    wrong = misfits[nearest]
    more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    raise ConfigError(
        f"pretrained={path} does not fit {nearest}: {'; '.join(wrong[:_SHOWN])}{more}; allowed are weights of "
        f"{', '.join(misfits)}"
    )


def _misfit(name: str, shape: tuple[int, ...], tensors: Mapping[str, Tensor]) -> str:
    wanted = " x ".join(map(str, shape))
    if name not in tensors:
        return f"there is no {name} ({wanted})"
    return f"{name} is {' x '.join(map(str, tensors[name].shape))} instead of {wanted}"
