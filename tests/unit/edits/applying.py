"""Applying an edit to a random state, for tests."""

import torch
from random_networks import random_images, random_state, recipe_of

from modules.architecture.description import Architecture
from modules.architecture.module import Network, build_module
from modules.edits.editing import AppliedEdit, apply_edit
from modules.records import Part


def part_of(edit: type, **arguments: object) -> Part:
    return Part(target=f"{edit.__module__}.{edit.__name__}", arguments=arguments)


def applied(
    edit: type, architecture: Architecture, state=None, seed: int = 3, labels: bool = False, **arguments: object
) -> AppliedEdit:
    state = random_state(architecture) if state is None else state
    images = random_images(architecture, 16)
    classes = torch.arange(16) % architecture.num_classes if labels else None
    return apply_edit(part_of(edit, **arguments), recipe_of(architecture), state, seed, images, classes)


def network_of(outcome: AppliedEdit, prefix: str = "ema") -> Network:
    network = build_module(outcome.recipe.architecture)
    start = f"{prefix}."
    network.load_state_dict(
        {name.removeprefix(start): x for name, x in outcome.state.items() if name.startswith(start)}
    )
    return network.eval()
