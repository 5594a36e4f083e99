"""Integrated gradients (Sundararajan, Taly and Yan 2017, arXiv:1703.01365)."""

from modules.architecture.module import Network
from modules.explanation.attribution import Maps, Question, as_maps, captum

REVISION = 1

_AT_ONCE = 512  # images; a path is many


class IntegratedGradients:
    """The gradient along the straight way from a plain image to this one, times the difference of the two."""

    def __init__(self, steps: int = 32) -> None:
        self.steps = steps

    def __call__(self, network: Network, question: Question) -> Maps:
        """Summed over the channels."""
        method = captum().IntegratedGradients(network)
        return as_maps(
            method.attribute(
                question.images,
                baselines=question.plain,
                target=question.classes,
                n_steps=self.steps,
                internal_batch_size=_AT_ONCE,
            )
        )
