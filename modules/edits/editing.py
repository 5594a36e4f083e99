"""Apply an edit to a recipe and to the state of its training, and certify what it did."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from modules.architecture.description import Architecture
from modules.architecture.module import Network, build_module
from modules.edits.calibration import Passage, measured_changes
from modules.edits.certificate import certify
from modules.edits.changes import Array, TensorChange, apply_changes, apply_changes_to_moments
from modules.edits.edit import Edit, Edited, apply_to
from modules.edits.effects import first_order_effects
from modules.edits.recipe_edit import RecipeEdit
from modules.errors import EditError
from modules.parts import build
from modules.recipe import Recipe
from modules.records import Certificate, Part

REVISION = 1


class AppliedEdit(NamedTuple):
    """A recipe and a state after an edit, with what it did and the history that does it again."""

    recipe: Recipe
    state: dict[str, Tensor]
    certificate: Certificate
    description: str
    changes: tuple[TensorChange, ...]


def apply_edit(
    part: Part,
    recipe: Recipe,
    state: Mapping[str, Tensor],
    seed: int,
    images: Tensor,
    labels: Tensor | None = None,
) -> AppliedEdit:
    """Edit a recipe and its state; `images` (N, C, H, W) in [0, 1] set new statistics and certify.

    Their `labels` (N) are for the edits that ask what the loss depends on.

    ValueError where the edit does not fit its site, EditError where it breaks its promise.
    """
    edit: Edit | RecipeEdit = build(part)
    if isinstance(edit, RecipeEdit):
        return _revised(edit, recipe, state, images)
    judged = _section(state, "ema")
    before = _network(recipe.architecture, judged)
    effects = None if labels is None else partial(first_order_effects, before, images, labels)
    edited = apply_to(edit, recipe.architecture, judged, seed, effects)
    after, changes = calibrated(edited, before, judged, seed, images)
    certificate = certify(edit.kind, before, after, images)
    return AppliedEdit(
        recipe.updated(architecture=edited.architecture),
        replayed(changes, state, seed),
        certificate,
        edited.description,
        changes,
    )


def _revised(edit: RecipeEdit, recipe: Recipe, state: Mapping[str, Tensor], images: Tensor) -> AppliedEdit:
    """The same network with another recipe, certified like any other."""
    revised = edit.revise(recipe)
    if revised.recipe.architecture != recipe.architecture:
        raise EditError(f"{type(edit).__name__} is an edit of the recipe, but it changed the architecture")
    kept = {name: x for name, x in state.items() if revised.keeps_moments or not name.startswith("optimizer.")}
    before, after = (_network(recipe.architecture, _section(each, "ema")) for each in (state, kept))
    certificate = certify(edit.kind, before, after, images)
    return AppliedEdit(revised.recipe, kept, certificate, revised.description, ())


def replayed(changes: tuple[TensorChange, ...], state: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """The state after the changes of an edit: raw weights, averaged weights and each slot of the optimiser."""
    judged = _section(state, "ema")
    result = {f"ema.{name}": array for name, array in apply_changes(changes, judged, seed).items()}
    weights = apply_changes(changes, _section(state, "model"), seed, judged)
    result |= {f"model.{name}": array for name, array in weights.items()}
    for slot in sorted({name.split(".")[1] for name in state if name.startswith("optimizer.")}):
        moments = apply_changes_to_moments(changes, _section(state, f"optimizer.{slot}"), slot, seed)
        result |= {f"optimizer.{slot}.{name}": array for name, array in moments.items()}
    return _as_tensors(result)


def calibrated(
    edited: Edited, before: Network, judged: Mapping[str, Array], seed: int, images: Tensor
) -> tuple[Network, tuple[TensorChange, ...]]:
    """The edited network after its calibrations, one after another since each changes what the next one sees."""
    weights = apply_changes(edited.changes, judged, seed)
    after = _network(edited.architecture, weights)
    changes = list(edited.changes)
    through_before, through_after = Passage(before, images), Passage(after, images)
    for calibration in edited.calibrations:
        measured = measured_changes(calibration, through_before, through_after)
        weights = apply_changes(measured, weights, seed)
        _load(after, weights)
        through_after.repeat(calibration.node)
        changes += measured
    return after, tuple(changes)


def _section(state: Mapping[str, Tensor], prefix: str) -> dict[str, Array]:
    start = f"{prefix}."
    return {name.removeprefix(start): tensor.numpy() for name, tensor in state.items() if name.startswith(start)}


def _network(architecture: Architecture, weights: Mapping[str, Array]) -> Network:
    network = build_module(architecture)
    _load(network, weights)
    return network.eval()


def _load(network: Network, weights: Mapping[str, Array]) -> None:
    network.load_state_dict(_as_tensors(weights))


def _as_tensors(arrays: Mapping[str, Array]) -> dict[str, Tensor]:
    """Contiguous copies."""
    return {name: torch.from_numpy(np.array(array, order="C")) for name, array in arrays.items()}
