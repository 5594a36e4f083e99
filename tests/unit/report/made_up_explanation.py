"""An explanation as a study would leave it, without a network."""

import numpy as np

from modules.explanation.pictures import overlay, picture
from modules.explanation.records import (
    CalibrationFigures,
    ClassFigures,
    ConfusedPair,
    ErrorNeighbours,
    Example,
    Explanation,
    Focus,
    MethodFigures,
    Neighbour,
    ReliabilityBin,
)

PIXELS = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)


def made_up_explanation() -> Explanation:
    image, lit = picture(PIXELS), overlay(PIXELS, np.eye(8))
    bins = tuple(ReliabilityBin(images=10, confidence=0.1 + 0.2 * n, accuracy=0.08 + 0.2 * n) for n in range(5))
    return Explanation(
        methods=(
            MethodFigures(name="grad_cam", shown=True, verdict="passed: it points at what counts"),
            MethodFigures(
                name="occlusion", shown=False, verdict="not shown: its maps are much the same with random weights"
            ),
        ),
        examples=tuple(
            Example(kind=kind, label="7", predicted=said, confidence=0.9, image=image, maps={"grad_cam": lit})
            for kind, said in (("typical", "7"), ("confident error", "1"))
        ),
        focus=(
            Focus(
                method="grad_cam",
                share=0.71,
                area=0.06,
                place="its top left corner",
                rows=(1, 2),
                columns=(1, 2),
                suspicious=True,
                sentence="grad cam: 71% of what speaks for the predicted classes lies in its top left corner",
            ),
        ),
        classes=tuple(
            ClassFigures(
                name=str(digit),
                images=100,
                predicted=99,
                error=0.02,
                error_interval=(0.005, 0.07),
                precision=0.99,
                precision_interval=(0.94, 0.998),
            )
            for digit in range(10)
        ),
        pairs=(ConfusedPair(label="7", predicted="1", count=3, images=(image, image)),),
        calibration=CalibrationFigures(
            temperature=1.6,
            error=0.02,
            scaled_error=0.01,
            loss=0.05,
            scaled_loss=0.04,
            bins=bins,
            scaled_bins=bins,
        ),
        neighbours=(
            ErrorNeighbours(
                label="7",
                predicted="1",
                confidence=0.98,
                image=image,
                nearest=(
                    Neighbour(label="1", similarity=0.97, image=image),
                    Neighbour(label="1", similarity=0.95, image=image),
                ),
                remark="2 of the 2 nearest training images are 1, too: the label 7 may be wrong",
            ),
        ),
        seconds=3.0,
    )
