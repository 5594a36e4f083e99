"""The reliability diagram: accuracy of test images over the confidence that the winner had in them."""

from modules.evaluation.intervals import wilson_interval
from modules.report.figures import figure_of, svg_of
from modules.report.palette import LIGHT
from modules.report.view import StudyView
from modules.report.wording import percent


def reliability(study: StudyView) -> str | None:
    """As the probabilities are, and divided by the temperature; None where nothing was explained."""
    if study.explanation is None:
        return None
    calibration = study.explanation.calibration
    with figure_of(width=4.6, height=3.8) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=LIGHT["faint"], linewidth=1, linestyle=(0, (4, 3)))
        for bins, colour, label in (
            (calibration.bins, LIGHT["accent"], "as they are"),
            (calibration.scaled_bins, LIGHT["good"], f"temperature {calibration.temperature:.2f}"),
        ):
            for each in bins:
                ends = wilson_interval(each.accuracy, each.images)
                axes.plot([each.confidence] * 2, ends, color=colour, linewidth=1.2, alpha=0.6)
            confidences, accuracies = [each.confidence for each in bins], [each.accuracy for each in bins]
            axes.plot(confidences, accuracies, color=colour, marker="o", markersize=4, linestyle="none", label=label)
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("confidence")
        axes.set_ylabel("right")
        axes.legend(loc="upper left")
        return svg_of(figure)


def reliability_caption(study: StudyView) -> str:
    """What it shows, for those who cannot see it."""
    if study.explanation is None:
        return ""
    calibration = study.explanation.calibration
    return (
        f"Reliability on the test part: probabilities are off by {percent(calibration.error)} on average, by "
        f"{percent(calibration.scaled_error)} with the temperature. Lines: 95 % intervals, wide where images are few."
    )
