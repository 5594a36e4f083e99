"""What heads on frozen features came to and how more of the network was judged, as tables and as a picture."""

from typing import Any

from modules.report.figures import figure_of, plain_log_ticks, svg_of
from modules.report.palette import LIGHT
from modules.report.wording import NOTHING, duration, number, percent
from modules.search.gears import Gears, TriedRate
from modules.search.learning_curve import CurveFit
from modules.search.transfer import Fitted, Heads

HEAD_COLUMNS = ("images of", "wrong", "cross-entropy", "images asked", "features", "head")
RATE_COLUMNS = ("gear", "learning rate", "cross-entropy", "wrong", "images asked")


def heads_view(heads: Heads) -> dict[str, Any]:
    """What the page shows."""
    asked = f"by {heads.folds}-fold cross-validation" if heads.folds else "on steer"
    return {
        "headline": f"Heads were judged {asked}; images of {heads.side} pixels were chosen.",
        "columns": HEAD_COLUMNS,
        "rows": [{"cells": _head_cells(one), "chosen": one.side == heads.side} for one in heads.fitted],
        "sentence": heads.curve.sentence if heads.curve else None,
    }


def _head_cells(one: Fitted) -> tuple[str, ...]:
    return (
        f"{one.side} pixels",
        f"{percent(one.error)} ± {percent(1.96 * one.standard_error)}",
        f"{one.loss:.4f}",
        number(one.asked),
        duration(one.feature_seconds),
        duration(one.head_seconds),
    )


def gears_view(gears: Gears) -> dict[str, Any]:
    """What the page shows."""
    rows = [{"cells": _rate_cells(one), "chosen": one.chosen} for one in gears.tried]
    first = " The first fold and steer chose the rates and are no part of that." if rows else ""
    return {
        "headline": f"Head and gears were compared on {number(gears.asked)} training images, by "
        f"networks that had not been trained on them ({gears.folds} folds): in the ledger under thaw.{first}",
        "columns": RATE_COLUMNS,
        "rows": rows,
    }


def _rate_cells(one: TriedRate) -> tuple[str, ...]:
    what = "the upper blocks" if one.gear == "upper" else "everything"
    loss = "failed" if one.loss is None else f"{one.loss:.4f}"
    return what, f"{one.learning_rate:g}", loss, percent(one.error), number(one.asked) if one.asked else NOTHING


def curve_figure(curve: CurveFit) -> str:
    """Errors of heads over the images they were fitted to, and what the power law says of more, as SVG."""
    with figure_of(width=5.6, height=3.0) as (figure, axes):
        images, errors = zip(*((images, 100 * error) for images, error in curve.points), strict=True)
        axes.plot(images, errors, color=LIGHT["accent"], marker="o", markersize=5, linewidth=1.8)
        for more, error, low, high in curve.predicted:
            axes.plot([more, more], [100 * low, 100 * high], color=LIGHT["faint"], linewidth=1.6)
            axes.plot([more], [100 * error], color=LIGHT["faint"], marker="o", markersize=5)
        axes.set_xscale("log")
        plain_log_ticks(axes.xaxis)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("training images")
        axes.set_ylabel("wrong, %")
        return svg_of(figure)


def curve_caption(curve: CurveFit) -> str:
    """What the picture shows, for those who cannot see it."""
    first, last = curve.points[0], curve.points[-1]
    more = " Grey: what a power law says of more, with 95 % intervals." if curve.predicted else ""
    return (
        f"Learning curve of heads: {percent(first[1])} wrong with {number(first[0])} images, {percent(last[1])} with "
        f"{number(last[0])}.{more}"
    )
