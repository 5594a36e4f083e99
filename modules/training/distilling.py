"""The loss of a student: of the labels, and of what a trained network says about the same images."""

import json
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modules.architecture.module import Network, build_module
from modules.digests import sha256_of_file
from modules.errors import StudyError
from modules.recipe import Distillation, Recipe
from modules.store import Store
from modules.training.states import read_state

REVISION = 1


class Teacher(nn.Module):
    """A trained network that is only asked: its weights and statistics stay as they are."""

    def __init__(self, network: Network, distillation: Distillation) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network.freeze(network.architecture.nodes[-1].name)
        self.weight = distillation.weight
        self.temperature = distillation.temperature

    def forward(self, loss: Tensor, logits: Tensor, images: Tensor) -> Tensor:
        """A student's loss by the labels, joined by its divergence from the teacher (Hinton et al. 2015).

        The divergence is that of probabilities at the temperature T, times T² so that its gradients stay as large.
        """
        with torch.no_grad():
            expected = self.network(images).float()
        ours, theirs = (F.log_softmax(each / self.temperature, dim=1) for each in (logits, expected))
        divergence = F.kl_div(ours, theirs, reduction="batchmean", log_target=True)
        return (1 - self.weight) * loss + self.weight * self.temperature**2 * divergence


def find_teacher(recipe: Recipe, store: Store) -> Teacher | None:
    """The network that a recipe learns from; StudyError where the store does not have it, or has another."""
    distillation = recipe.distillation
    if distillation is None:
        return None
    said = f"trial {distillation.teacher}, which this recipe learns from,"
    entry = store.find("trials", distillation.teacher)
    if entry is None:
        raise StudyError(f"{said} is not in the store")
    weights = entry.file("weights.safetensors")
    if (found := sha256_of_file(weights)) != distillation.weights_sha256:
        raise StudyError(
            f"{said} has weights with the digest {found[:16]}; expected is {distillation.weights_sha256[:16]}"
        )
    network = _network_of(entry.file("recipe.json"), weights)
    ours, theirs = recipe.architecture, network.architecture
    if (ours.image_shape, ours.num_classes) != (theirs.image_shape, theirs.num_classes):
        raise StudyError(
            f"{said} tells {theirs.num_classes} classes of images of shape {theirs.image_shape}; expected are "
            f"{ours.num_classes} of shape {ours.image_shape}"
        )
    return Teacher(network, distillation)


def _network_of(recipe: Path, weights: Path) -> Network:
    network = build_module(Recipe.model_validate(json.loads(recipe.read_text())).architecture)
    network.load_state_dict(read_state(weights))
    return network
