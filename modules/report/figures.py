"""The report's figures as SVG, drawn without a display and without pyplot, so that threads do not meet."""

import io
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from modules.records import CurvePoint, Interval, LedgerRow
from modules.report.lineage import Placed, Standing, placed_trials
from modules.report.palette import LIGHT
from modules.report.view import StudyView
from modules.report.wording import percent, plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: searchable, and in the page's font
    "svg.hashsalt": "espalier",  # the same figure is the same file
    "text.parse_math": False,  # a class may be called $5
    "font.size": 9,
    "font.family": ["DejaVu Sans"],
    "axes.edgecolor": LIGHT["line"],
    "axes.labelcolor": LIGHT["muted"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.unicode_minus": True,
    "grid.color": LIGHT["line"],
    "grid.linewidth": 0.6,
    "text.color": LIGHT["ink"],
    "xtick.color": LIGHT["line"],
    "ytick.color": LIGHT["line"],
    "xtick.labelcolor": LIGHT["muted"],
    "ytick.labelcolor": LIGHT["muted"],
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}
_LINES: dict[Standing, dict[str, Any]] = {
    "refused": {"color": LIGHT["faint"], "linewidth": 0.9, "alpha": 0.8, "label": "not kept"},
    "kept": {"color": LIGHT["good"], "linewidth": 0.9, "alpha": 0.7, "label": "kept, other seeds"},
    "trunk": {"color": LIGHT["good"], "linewidth": 1.8, "label": "the line of the winner"},
    "final": {"color": LIGHT["accent"], "linewidth": 1.8, "label": "final training"},
}
_DRAWING = threading.Lock()  # matplotlib's settings are global
_MOST_EFFECTS = 60  # in a figure; the ledger has all
_MOST_NUMBERED_CLASSES = 20
_MOST_NAMED_CLASSES = 60


def loss_curves(study: StudyView) -> str | None:
    """Steer loss over samples seen, those of the weights a trial inherited included; None without trials."""
    return _curves(study, "cross-entropy on steer", lambda point: point.steer_loss)


def error_curves(study: StudyView) -> str | None:
    """Steer error in percent, likewise."""
    return _curves(study, "error on steer, %", lambda point: 100 * point.steer_error)


def effects(study: StudyView) -> str | None:
    """What each edit did against its control, with intervals; None where nothing was judged."""
    rows = [
        (generation, row)
        for generation in study.ledger.generations
        for row in generation.rows
        if row.steer_effect is not None or row.confirm_effect is not None
    ]
    if not rows:
        return None
    best = sorted(range(len(rows)), key=lambda place: _promise(rows[place][1]))[:_MOST_EFFECTS]
    rows = [rows[place] for place in sorted(best)]
    with figure_of(width=5.6, height=0.9 + 0.3 * len(rows)) as (figure, axes):
        for place, (generation, row) in enumerate(rows):
            colour = LIGHT["good"] if row.kept else LIGHT["faint"]
            limit = generation.smallest_effect or 0.0
            axes.fill_betweenx([place - 0.5, place + 0.5], -limit, limit, color=LIGHT["line"], alpha=0.5, linewidth=0)
            _interval(axes, row.steer_effect, place - 0.13, "o", colour)
            _interval(axes, row.confirm_effect, place + 0.13, "D", colour)
        axes.axvline(0, color=LIGHT["muted"], linewidth=0.8)
        axes.set_yticks(range(len(rows)), [f"{generation.number} {row.edit}" for generation, row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0, labelcolor=LIGHT["ink"])
        axes.set_xlabel("change of mean cross-entropy against the control: left is better")
        return svg_of(figure)


def _promise(row: LedgerRow) -> tuple[bool, float]:
    """What was kept comes first, then what looks best."""
    judged = row.confirm_effect or row.steer_effect
    return (not row.kept, judged.estimate if judged else 0.0)


def confusion(study: StudyView) -> str | None:
    """The test images by true and predicted class; None where the test set was not opened."""
    if study.confusion is None:
        return None
    size = len(study.confusion)
    names = [name if len(name) <= 14 else f"{name[:13]}…" for name in study.data.classes]
    side = min(7.5, max(3.2, 1.4 + 0.32 * size))
    with figure_of(width=side, height=side) as (figure, axes):
        mesh = axes.pcolormesh(_confusion_colours(study.confusion), rasterized=size > _MOST_NAMED_CLASSES)
        mesh.set_edgecolor("none")
        axes.set_aspect("equal")
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.tick_params(length=0)
        if size <= _MOST_NAMED_CLASSES:
            places = [index + 0.5 for index in range(size)]
            axes.set_xticks(places, names, rotation=90 if max(map(len, names)) > 2 else 0)
            axes.set_yticks(places, names)
        if size <= _MOST_NUMBERED_CLASSES:
            _write_counts(axes, study.confusion)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        return svg_of(figure)


def front(study: StudyView) -> str | None:
    """Cross-entropies on *confirm* of the front's members over their parameters; None where no front was asked for."""
    members = study.summary.get("front")
    if not members:
        return None
    with figure_of(width=5.6, height=3.2) as (figure, axes):
        params, losses = [one["params"] for one in members], [one["val_loss"] for one in members]
        axes.plot(params, losses, color=LIGHT["good"], marker="o", markersize=5, linewidth=1.2)
        axes.set_xscale("log")
        plain_log_ticks(axes.xaxis)
        axes.set_ylim(0, 1.1 * max(losses))
        axes.set_xlabel("parameters")
        axes.set_ylabel("cross-entropy on confirm")
        return svg_of(figure)


def range_test(study: StudyView) -> str | None:
    """The losses of a range test over the rates that were tried, the pick marked; None where there was none."""
    test = study.range_test
    if test is None:
        return None
    with figure_of(width=5.6, height=2.8) as (figure, axes):
        axes.plot(test.rates, test.losses, color=LIGHT["accent"], linewidth=1.8)
        axes.axvline(test.picked, color=LIGHT["good"], linewidth=1.2)
        axes.annotate(
            f"{test.picked:g}",
            (test.picked, 1),
            xycoords=("data", "axes fraction"),
            xytext=(4, -10),
            textcoords="offset points",
            color=LIGHT["good"],
        )
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda rate, _: f"{rate:g}")
        axes.set_xlabel("learning rate")
        axes.set_ylabel("training loss, smoothed")
        return svg_of(figure)


def captions(study: StudyView) -> dict[str, str]:
    """What each figure shows, for those who cannot see it."""
    placed = placed_trials(study)
    lowest = min((each.trial.steer_error for each in placed), default=None)
    judged = [row for generation in study.ledger.generations for row in generation.rows if row.steer_effect]
    wrong = 0
    if study.confusion is not None:
        wrong = sum(sum(row) - row[index] for index, row in enumerate(study.confusion))
    picked = study.range_test.picked if study.range_test else None
    members = study.summary.get("front") or ()
    num_kept = sum(row.kept for row in judged)
    shown = f", of which {_MOST_EFFECTS}, kept or best, are shown" if len(judged) > _MOST_EFFECTS else ""
    networks = f"{len(members)} {plural('network', len(members))}"
    return {
        "front": f"The front: {networks}; no cheaper one has as low a cross-entropy on confirm.",
        "range_test": f"Range test of the learning rate: losses at rates that grow; {picked} was picked.",
        "loss_curves": f"Learning curves of {len(placed)} trials: cross-entropy on steer over samples seen.",
        "error_curves": f"Error on steer over samples seen; the lowest a trial ended with is {percent(lowest)}.",
        "effects": f"Effects of {len(judged)} edits with 95 % intervals; {num_kept} were kept{shown}.",
        "confusion": f"Confusion matrix of the test images: {wrong} of them were taken for another class.",
    }


def _curves(study: StudyView, label: str, value: Callable[[CurvePoint], float]) -> str | None:
    placed = [each for each in placed_trials(study) if each.trial.curve]
    if not placed:
        return None
    with figure_of(width=5.6, height=3.4) as (figure, axes):
        labelled: set[str] = set()
        for each in placed:
            style = _LINES[each.standing]
            fresh = style["label"] not in labelled
            labelled.add(style["label"])
            _curve(axes, each, value, {**style, "label": style["label"] if fresh else None})
        values = [value(point) for each in placed for point in each.trial.curve]
        if min(values) > 0 and max(values) > 4 * min(values):
            axes.set_yscale("log")
            plain_log_ticks(axes.yaxis)
        axes.set_xlabel("samples seen")
        axes.set_ylabel(label)
        axes.xaxis.set_major_formatter(lambda samples, _: _samples(samples))
        axes.set_xlim(left=0)
        figure.legend(loc="outside lower center", ncols=2, labelcolor=LIGHT["muted"])
        return svg_of(figure)


def _curve(axes: "Axes", each: Placed, value: Callable[[CurvePoint], float], style: dict[str, Any]) -> None:
    samples = [each.offset + point.samples for point in each.trial.curve]
    marker = "." if len(samples) == 1 else None
    axes.plot(samples, [value(point) for point in each.trial.curve], marker=marker, **style)


def plain_log_ticks(axis: "Axis") -> None:
    """1, 2, 5, 10, … written out."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(lambda value, _: f"{value:,g}")
    axis.set_minor_formatter(NullFormatter())


def _samples(samples: float) -> str:
    if samples >= 1e6:
        return f"{samples / 1e6:g} M"
    return f"{samples / 1e3:g} k" if samples >= 1e3 else f"{samples:g}"


def _interval(axes: "Axes", interval: Interval | None, height: float, marker: str, colour: str) -> None:
    if interval is None:
        return
    axes.plot([interval.low, interval.high], [height, height], color=colour, linewidth=1.6, solid_capstyle="round")
    axes.plot([interval.estimate], [height], marker=marker, markersize=4.5, color=colour)


def _confusion_colours(counts: tuple[tuple[int, ...], ...]) -> Any:
    """Right ones in the accent, confusions in red; a root makes few visible. Rows are fractions of their class."""
    import numpy as np
    from matplotlib.colors import to_rgb

    matrix = np.asarray(counts, dtype=float)
    fractions = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    right = np.eye(len(matrix), dtype=bool)
    colours = np.zeros((*matrix.shape, 4))
    colours[..., :3] = np.where(right[..., None], to_rgb(LIGHT["accent"]), to_rgb(LIGHT["bad"]))
    colours[..., 3] = np.where(
        right, 0.45 * fractions, np.where(fractions > 0, np.minimum(0.8, 0.15 + 2.2 * np.sqrt(fractions)), 0)
    )
    return colours


def _write_counts(axes: "Axes", counts: tuple[tuple[int, ...], ...]) -> None:
    for true, row in enumerate(counts):
        for predicted, count in enumerate(row):
            if count:
                axes.text(predicted + 0.5, true + 0.5, str(count), ha="center", va="center", fontsize=7.5)


@contextmanager
def figure_of(width: float, height: float) -> Iterator[tuple["Figure", "Axes"]]:
    """A figure (inches) in the report's style, with its axes."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with _DRAWING, matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the reader's font will have it
        figure = Figure(figsize=(width, height))
        FigureCanvasSVG(figure)
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        yield figure, axes


def svg_of(figure: "Figure") -> str:
    """Without the preamble, and without names that nothing refers to."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    return re.sub(r' id="(?![mp][0-9a-f]{10}")[^"]*"(?=[^<]*>)', "", svg)  # markers and clips keep theirs
