"""Integrated gradients (Sundararajan, Taly and Yan 2017, arXiv:1703.01365)."""

from modules.architecture.module import Network
from modules.evaluation.layers import fitting_images
from modules.explanation.attribution import Maps, Question, as_maps, captum

REVISION = 2


class IntegratedGradients:
    """The gradient along the straight way from a plain image to this one, times the difference of the two."""

    def __init__(self, steps: int = 32) -> None:
        self.steps = steps

    def __call__(self, network: Network, question: Question) -> Maps:
        """Summed over the channels. A path is many images, of each of which the gradient keeps all values."""
        method = captum().IntegratedGradients(network)
        at_once = max(len(question.images), fitting_images(network.architecture))
        return as_maps(
            method.attribute(
                question.images,
                baselines=question.plain,
                target=question.classes,
                n_steps=self.steps,
                internal_batch_size=at_once,
            )
        )
