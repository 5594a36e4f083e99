"""Normalisations folded into the convolutions before them: the same function of a network that is not trained."""

import torch

from modules.architecture.module import Network, build_module
from modules.architecture.nodes import Conv, Norm

REVISION = 2  # 2: what follows the cut is left


def folded(network: Network, until: str) -> tuple[Network, dict[str, str]]:
    """A network in evaluation mode that computes the same, without normalisations of convolutions up to a node.

    Nodes that are left keep their names. The second result says which convolution now gives what a normalisation gave.
    """
    architecture, tensors = network.architecture, dict(network.state_dict())
    needed = architecture.upstream(until)  # a normalisation behind it would change what a convolution at it gives
    bypassed: dict[str, str] = {}
    for norm in architecture.nodes:
        if not isinstance(norm, Norm) or norm.name not in needed:
            continue
        layer = next((node for node in architecture.nodes if node.name == norm.inputs[0]), None)  # None: the image
        if not isinstance(layer, Conv) or len(architecture.readers(layer.name)) != 1:
            continue
        scale = tensors[f"{norm.name}.weight"] / torch.sqrt(tensors[f"{norm.name}.running_var"] + norm.eps)
        bias = tensors.get(f"{layer.name}.bias", 0.0) - tensors[f"{norm.name}.running_mean"]
        tensors[f"{layer.name}.weight"] = tensors[f"{layer.name}.weight"] * scale.view(-1, 1, 1, 1)
        tensors[f"{layer.name}.bias"] = tensors[f"{norm.name}.bias"] + bias * scale
        bypassed[norm.name] = layer.name
    biased = {layer: {"bias": True} for layer in bypassed.values()}
    simpler = build_module(architecture.with_changed(biased).without(bypassed))
    simpler.load_state_dict({name: tensors[name] for name in simpler.state_dict()})
    simpler = simpler.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return simpler, bypassed
