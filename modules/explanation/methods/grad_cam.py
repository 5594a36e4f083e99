"""Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391)."""

from torch.nn import functional as F

from modules.architecture.description import Architecture
from modules.architecture.module import Network
from modules.architecture.nodes import Add, Conv, GroupNorm, Norm
from modules.explanation.attribution import Maps, NoMapError, Question, as_maps, captum

REVISION = 1


class GradCam:
    """Where the last layer that still has places is active for the class; as coarse as that layer is."""

    def __call__(self, network: Network, question: Question) -> Maps:
        """What speaks for the class alone: values below zero are cut off, as the paper does."""
        layer = last_places(network.architecture)
        method = captum().LayerGradCam(network, network.get_submodule(layer))
        coarse = method.attribute(question.images, target=question.classes, relu_attributions=True)
        return as_maps(F.interpolate(coarse, question.images.shape[2:], mode="bilinear", align_corners=False))


def last_places(architecture: Architecture) -> str:
    """The last convolution, normalisation or sum whose output has more than one place; NoMapError without one."""
    shapes = architecture.shapes()
    for node in reversed(architecture.nodes):
        shape = shapes[node.name]
        if isinstance(node, Conv | Norm | GroupNorm | Add) and len(shape) == 3 and min(shape[1:]) > 1:
            return node.name
    raise NoMapError("no layer of the network has an output with more than one place")
