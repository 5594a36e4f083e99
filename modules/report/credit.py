"""What each automation of a study bought, as a table and as a picture."""

from rich.table import Table
from rich.text import Text

from modules.records import Interval
from modules.report.figures import figure_of, svg_of
from modules.report.palette import LIGHT
from modules.report.wording import NOTHING, number, percent, signed
from modules.search.credits import Contribution, Credits

COLUMNS = (
    "without",
    "instead",
    "error",
    "bought in error (95 % together)",
    "bought in seconds",
    "bought in Wh",
    "params",
)


def credit_cells(one: Contribution) -> tuple[str, ...]:
    """A cell for each of COLUMNS; differences of errors are in percentage points."""
    return (
        one.name,
        one.what,
        percent(one.error),
        _bought(one.bought_error.estimate, one.bought_error, 2, 100),
        _bought(one.bought_seconds, one.seconds_interval, 1),
        NOTHING if one.bought_wh is None else _bought(one.bought_wh, one.wh_interval, 2),
        number(one.params),
    )


def _bought(estimate: float, interval: Interval | None, digits: int, times: float = 1.0) -> str:
    said = signed(times * estimate, digits)
    if interval is None:
        return said
    return f"{said} ({signed(times * interval.low, digits)} to {signed(times * interval.high, digits)})"


def credit_headline(credits: Credits) -> str:
    """The account in a sentence, and what is not in it."""
    clear = [one.name for one in credits.contributions if one.bought_error.low > 0]
    worse = [one.name for one in credits.contributions if one.bought_error.high < 0]
    seeds = f"{len(credits.seeds)} seeds" if len(credits.seeds) > 1 else "one seed"
    said = f"clearly bought something: {', '.join(clear) or 'none'}"
    said += f"; cost something: {', '.join(worse)}" if worse else ""
    return (
        f"{percent(credits.error)} of {number(credits.num_images)} confirm images wrong with all automations "
        f"({credits.samples:,} samples, {seeds}); {said}. Seconds and Wh are those of trials, without range tests"
    )


def credit_table(credits: Credits) -> Table:
    """For the console."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", title_justify="left")
    for place, column in enumerate(COLUMNS):
        table.add_column(column, justify="left" if place < 2 else "right")
    for one in credits.contributions:
        style = "green" if one.bought_error.low > 0 else "red" if one.bought_error.high < 0 else ""
        table.add_row(*(Text(cell, style=style if place == 3 else "") for place, cell in enumerate(credit_cells(one))))
    table.caption = credits.left_aside or None
    return table


def credit_figure(credits: Credits) -> str:
    """What each bought in validation error, with intervals, as SVG."""
    rows = credits.contributions
    with figure_of(width=5.6, height=0.9 + 0.34 * max(1, len(rows))) as (figure, axes):
        for place, one in enumerate(rows):
            low, middle, high = (
                100 * each for each in (one.bought_error.low, one.bought_error.estimate, one.bought_error.high)
            )
            colour = LIGHT["good"] if low > 0 else LIGHT["bad"] if high < 0 else LIGHT["faint"]
            axes.plot([low, high], [place, place], color=colour, linewidth=1.6)
            axes.plot([middle], [place], marker="o", color=colour, markersize=5)
        axes.axvline(0, color=LIGHT["muted"], linewidth=0.8)
        axes.set_yticks(range(len(rows)), [one.name for one in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("bought in validation error, percentage points: right is better")
        return svg_of(figure)
