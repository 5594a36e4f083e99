"""What an exported model says of an image, and why: by occlusion alone, as it has neither gradients nor weights."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from modules.deployment.inference import ExportedModel
from modules.explanation.attribution import question_of
from modules.explanation.deletion import deletion_check
from modules.explanation.methods.occlusion import Occlusion
from modules.explanation.pictures import overlay, picture
from modules.explanation.records import OneImage
from modules.workers.jobs import Report, job

_GREY = 0.5  # what covers a patch: the training images' mean is not known
_UNCHECKED = "its weights cannot be drawn anew here, so that only one of its two checks was made"


class Logits:
    """The exported model as a function of images (N x C x H x W, in [0, 1]): logarithms of its probabilities."""

    def __init__(self, model: ExportedModel) -> None:
        self._model = model

    def __call__(self, images: Tensor) -> Tensor:
        """N x classes."""
        pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        return torch.from_numpy(self._model.probabilities(pixels)).clamp_min(1e-12).log()


@job
def explain_exported(model: str, image: Any, report: Report) -> dict[str, Any]:
    """Of one image (nested lists, H x W x C, 0 to 255)."""
    exported = ExportedModel(Path(model))
    pixels = np.asarray(image, dtype=np.uint8)
    probabilities = exported.probabilities(pixels[None])[0]
    ranked = np.argsort(-probabilities, kind="stable")
    question, logits = question_of(pixels[None], ranked[:1], (_GREY,) * pixels.shape[2]), Logits(exported)
    maps = Occlusion()(logits, question)
    check = deletion_check(logits, question, maps)
    verdict = "hurts more than" if check.passed else "hurts no more than"
    return OneImage(
        probabilities={exported.classes[index]: float(probabilities[index]) for index in ranked},
        image=picture(pixels),
        maps={"occlusion": overlay(pixels, maps[0])} if check.passed else {},
        notes=(
            f"occlusion: {'' if check.passed else 'not shown: '}taking out what it points at {verdict} other places "
            f"(p = {check.p_value:.2g}); {_UNCHECKED}",
        ),
    ).model_dump(mode="json")
