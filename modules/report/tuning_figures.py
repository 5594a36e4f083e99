"""A search for hyper-parameters in pictures: its history, what mattered, which points were good, its front."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from modules.report.figures import figure_of, svg_of
from modules.report.palette import LIGHT
from modules.report.wording import percent
from modules.search.tries import Try, Tuning
from modules.space import Choice, Parameter

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {"complete": LIGHT["accent"], "stopped": LIGHT["faint"], "failed": LIGHT["bad"]}
_MOST_LINES = 200  # of parallel coordinates; the best ones
_MOST_SLICES = 8
_CONDITIONAL = "In grey, what applies under a condition alone: its share among the tries that meet it"


def tuning_figures(tuning: Tuning) -> dict[str, str]:
    """The pictures that a search has something to show in, as SVG by name."""
    drawn = {name: draw(tuning) for name, draw in _FIGURES.items()}
    return {name: svg for name, svg in drawn.items() if svg is not None}


def tuning_captions(tuning: Tuning) -> dict[str, str]:
    """What each picture shows, for those who cannot see it."""
    done = [one for one in tuning.tries if one.state == "complete"]
    best = tuning.best
    said = (
        f"the best is try {best.number} with {best.loss:.4f} and {percent(best.error)} error" if best else "none ended"
    )
    first = max(tuning.importances, key=lambda key: tuning.importances[key], default="")
    mattered = f"most of all {first}" if first else "too few can be compared"
    return {
        "history": f"{len(tuning.tries)} tries in turn, {len(done)} of them to the end; {said}.",
        "importances": f"What the differences among all tries and the best of them go back to: {mattered}."
        + (f" {_CONDITIONAL}." if tuning.conditional_importances else ""),
        "parallel_coordinates": "Each try as a line through its values; the better the loss, the darker.",
        "slices": "Loss over each hyper-parameter alone.",
        "front": f"The front: {len(tuning.front)} tries that none does better than in loss and cost.",
    }


def history(tuning: Tuning) -> str | None:
    """Losses in the order of the tries, and the lowest so far; None where none came to a rung."""
    seen = [one for one in tuning.tries if one.loss is not None]
    if not seen:
        return None
    with figure_of(width=5.6, height=3.0) as (figure, axes):
        for state in ("stopped", "complete"):
            chosen = [one for one in seen if one.state == state]
            losses = [_loss(one) for one in chosen]
            axes.scatter([one.number for one in chosen], losses, s=14, color=_COLOURS[state], label=state)
        steps, lowest = [], math.inf
        for one in seen:
            if one.state == "complete":
                lowest = min(lowest, _loss(one))
                steps.append((one.number, lowest))
        if steps:
            axes.step(
                *zip(*steps, strict=True), where="post", color=LIGHT["good"], linewidth=1.6, label="lowest so far"
            )
        _loss_scale(axes, [_loss(one) for one in seen], axes.set_yscale)
        axes.set_xlabel("try")
        axes.set_ylabel("cross-entropy on steer")
        figure.legend(loc="outside lower center", ncols=3, labelcolor=LIGHT["muted"])
        return svg_of(figure)


def importances(tuning: Tuning) -> str | None:
    """Bars; None where there were too few tries to tell."""
    rows = _ascending(tuning.conditional_importances) + _ascending(tuning.importances)
    if not rows:
        return None
    colours = [LIGHT["faint" if key in tuning.conditional_importances else "accent"] for key, _ in rows]
    with figure_of(width=5.6, height=0.8 + 0.3 * len(rows)) as (figure, axes):
        axes.barh([key for key, _ in rows], [value for _, value in rows], color=colours, height=0.6)
        axes.set_xlabel("share of the difference between the best tries and all (PED-ANOVA)")
        axes.grid(visible=False, axis="y")
        return svg_of(figure)


def _ascending(shares: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(shares.items(), key=lambda row: row[1])


def parallel_coordinates(tuning: Tuning) -> str | None:
    """Lines through the values; the best are drawn last. None where fewer than two tries ended."""
    done = sorted((one for one in tuning.tries if one.state == "complete"), key=_loss)[:_MOST_LINES]
    keys = tuning.space.keys
    if len(done) < 2 or len(keys) < 2:
        return None
    places = {key: _Axis(key, tuning.space.parameters, done) for key in keys}
    with figure_of(width=max(5.6, 1.1 * len(keys)), height=3.4) as (figure, axes):
        for rank, one in reversed(list(enumerate(done))):
            points = [(x, places[key].place(one.values[key])) for x, key in enumerate(keys) if key in one.values]
            shade = 1 - rank / len(done)
            axes.plot(
                *zip(*points, strict=True),
                color=LIGHT["good"] if rank == 0 else LIGHT["accent"],
                alpha=1.0 if rank == 0 else 0.08 + 0.5 * shade**2,
                linewidth=2.0 if rank == 0 else 1.0,
            )
        for x, key in enumerate(keys):
            for place, text in places[key].ticks:
                axes.text(x, place, text, fontsize=7, ha="center", va="center", color=LIGHT["muted"])
        axes.set_xticks(range(len(keys)), [key.replace(".", ".\n") for key in keys], fontsize=7)
        axes.set_yticks([])
        axes.set_ylim(-0.06, 1.06)
        axes.grid(visible=False, axis="y")
        return svg_of(figure)


def slices(tuning: Tuning) -> str | None:
    """Loss over each hyper-parameter, one beside the other."""
    done = [one for one in tuning.tries if one.state == "complete"]
    keys = tuning.space.keys[:_MOST_SLICES]
    if len(done) < 2:
        return None
    across = min(4, len(keys))
    down = math.ceil(len(keys) / across)
    with figure_of(width=1.9 * across, height=1.9 * down) as (figure, first):
        first.remove()
        grid = figure.subplots(down, across, sharey=True, squeeze=False)
        for place, axes in enumerate(grid.flat):
            axes.patch.set_alpha(0)
            if place >= len(keys):
                axes.set_visible(False)
                continue
            _slice(axes, keys[place], tuning, done)
        for row in grid:
            row[0].set_ylabel("cross-entropy")
        return svg_of(figure)


def _slice(axes: "Axes", key: str, tuning: Tuning, done: Sequence[Try]) -> None:
    axis = _Axis(key, tuning.space.parameters, done)
    found = [one for one in done if key in one.values]
    values: list[Any] = [one.values[key] for one in found]
    if axis.names:
        values = [axis.names.index(str(value)) for value in values]
        axes.set_xticks(
            range(len(axis.names)), axis.names, rotation=45 if max(map(len, axis.names)) > 4 else 0, fontsize=7
        )
        axes.set_xlim(-0.5, len(axis.names) - 0.5)
    elif axis.is_log:
        axes.set_xscale("log")
    axes.scatter(values, [_loss(one) for one in found], s=10, color=LIGHT["accent"], alpha=0.7)
    _loss_scale(axes, [_loss(one) for one in done], axes.set_yscale)
    axes.set_title(key, fontsize=7, color=LIGHT["ink"])
    axes.tick_params(labelsize=7)


def front(tuning: Tuning) -> str | None:
    """Loss over parameters of all tries, the front joined; None where one figure alone was searched for."""
    done = [one for one in tuning.tries if one.state == "complete"]
    if len(tuning.figures) < 2 or not done:
        return None
    with figure_of(width=5.6, height=3.2) as (figure, axes):
        axes.scatter([one.params for one in done], [_loss(one) for one in done], s=14, color=LIGHT["faint"])
        best = sorted(tuning.front, key=lambda one: one.params)
        axes.plot(
            [one.params for one in best], [_loss(one) for one in best], color=LIGHT["good"], marker="o", markersize=4
        )
        axes.set_xscale("log")
        axes.set_xlabel("parameters")
        axes.set_ylabel("cross-entropy on steer")
        return svg_of(figure)


class _Axis:
    """Where the values of a key lie between 0 and 1: by name where it has choices, unless ranges of numbers join them.

    Under one condition a key may be a choice and under another a range, on a log scale here and from 0 there.
    """

    def __init__(self, key: str, parameters: Sequence[Parameter], tries: Sequence[Try]) -> None:
        own = [one for one in parameters if one.key == key]
        ranges = [one for one in own if not isinstance(one, Choice)]
        extremes = [value for one in own for value in one.extremes]
        numbers = [value for value in extremes if isinstance(value, int | float) and not isinstance(value, bool)]
        self.names: list[str] = []
        self.is_log = False
        if not ranges or len(numbers) < len(extremes):
            chosen = [value for one in own if isinstance(one, Choice) for value in one.values]
            seen = [one.values[key] for one in tries if key in one.values]
            self.names = list(dict.fromkeys(map(str, [*chosen, *seen])))
        else:
            self._low, self._high = min(numbers), max(numbers)
            self.is_log = self._low > 0 and any(one.log for one in ranges)

    def place(self, value: Any) -> float:
        """Of a value."""
        if self.names:
            return self.names.index(str(value)) / max(1, len(self.names) - 1)
        low, high, at = (math.log(each) if self.is_log else each for each in (self._low, self._high, value))
        return float((at - low) / (high - low))

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Where to write what."""
        if self.names:
            return [(self.place(name), name) for name in self.names]
        return [(-0.03, f"{self._low:g}"), (1.03, f"{self._high:g}")]


def _loss_scale(axes: "Axes", losses: Sequence[float], set_scale: Callable[[str], None]) -> None:
    """A log scale where losses differ by much."""
    if min(losses) > 0 and max(losses) > 4 * min(losses):
        set_scale("log")
        axes.yaxis.set_major_formatter(lambda loss, _: f"{loss:g}")
        axes.yaxis.set_minor_formatter(lambda loss, _: "")


def _loss(one: Try) -> float:
    assert one.loss is not None
    return one.loss


_FIGURES: dict[str, Callable[[Tuning], str | None]] = {
    "history": history,
    "importances": importances,
    "parallel_coordinates": parallel_coordinates,
    "slices": slices,
    "front": front,
}
