"""How figures are written for people, the same on the page, on the console and in Markdown."""

import re
from typing import Any

from modules.energy.wording import emissions, millijoules, watt_hours
from modules.evaluation.intervals import wilson_interval
from modules.records import Interval, LedgerRow
from modules.report.view import StudyView

NOTHING = "–"


def percent(fraction: float | None) -> str:
    """0.0139 as `1.39 %`, which no line break divides."""
    return NOTHING if fraction is None else f"{100 * fraction:.2f}\N{NO-BREAK SPACE}%"


def number(value: float | None) -> str:
    """41226 as `41,226`."""
    return NOTHING if value is None else f"{value:,.0f}"


def magnitude(value: float | None) -> str:
    """8123456 as `8.12 M`."""
    if value is None:
        return NOTHING
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f}"


def duration(seconds: float | None) -> str:
    """3725 as `1 h 02 min`."""
    if seconds is None:
        return NOTHING
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def signed(value: float, digits: int = 4) -> str:
    """With a real minus sign, as columns want it."""
    return f"{value:+.{digits}f}".replace("-", "−")


def effect(interval: Interval | None) -> str:
    """`−0.0123 (−0.0201 to −0.0045)`: the difference of mean cross-entropy and its interval."""
    if interval is None:
        return NOTHING
    return f"{signed(interval.estimate)} ({signed(interval.low)} to {signed(interval.high)})"


def outcome(row: LedgerRow) -> str:
    """What became of an edit, in a word or two."""
    if row.edit == "control":
        return "control, stays" if row.kept else "control"
    if not row.kept:
        return "not kept"
    return {True: "kept, confirmed", False: "kept, not confirmed", None: "kept"}[row.confirmed]


def why(row: LedgerRow) -> str:
    """The verdict without the word that `outcome` says already."""
    return re.sub(r"^(not )?kept[^:]{0,20}: *", "", row.verdict, flags=re.IGNORECASE)


def judgement(row: LedgerRow) -> str:
    """What became of an edit, and why."""
    return ": ".join(filter(None, (outcome(row), why(row))))


def edits_of(study: StudyView) -> list[LedgerRow]:
    """All rows of generations that tried something."""
    return [row for generation in study.ledger.generations for row in generation.rows if row.edit != "control"]


def champion_of(study: StudyView) -> dict[str, Any]:
    """The summary's champion; empty where the study did not come that far."""
    return study.summary.get("champion") or {}


def headline(study: StudyView) -> str:
    """The study in a sentence."""
    champion, edits = champion_of(study), edits_of(study)
    if not champion:
        return f"The study did not end: it is {study.summary.get('state', 'unknown')}."
    error = champion.get("test_error")
    errors = f"{percent(error)} of the test images wrong" if error is not None else "the test set not opened"
    if not edits:
        return f"A network of {number(champion.get('params'))} parameters, {errors}; no edit was tried."
    return (
        f"A network of {number(champion.get('params'))} parameters, {errors}, "
        f"after {len(study.ledger.generations)} {plural('generation', len(study.ledger.generations))} "
        f"in which {_found(study, edits)}."
    )


def _found(study: StudyView, edits: list[LedgerRow]) -> str:
    tried = f"{len(edits)} {plural('edit', len(edits))}"
    if study.summary.get("front"):  # its members are gone on from, whether or not their edits were kept
        return f"{sum(step.edit is not None for step in study.ledger.lineage)} of {tried} led to it"
    kept = sum(row.kept for row in edits)
    return f"{kept} of {tried} {'was' if kept == 1 else 'were'} kept"


def key_figures(study: StudyView) -> list[tuple[str, str, str]]:
    """What one wants to know first: a name, a figure, a remark."""
    summary, champion = study.summary, champion_of(study)
    trials, energy = summary.get("trials") or {}, summary.get("energy") or {}
    figures = [
        ("Test error", percent(champion.get("test_error")), _test_remark(study)),
        ("Validation error", percent(champion.get("val_error")), "on confirm"),
        ("Parameters", number(champion.get("params")), f"{magnitude(champion.get('flops'))} FLOP an image"),
        ("Time", duration(summary.get("seconds")), "all training and work, resumptions included"),
        ("Trials", number(trials.get("count")), f"{trials.get('reused', 0)} reused, {trials.get('failed', 0)} failed"),
    ]
    if champion.get("latency_ms") is not None:
        figures.append(("Latency", f"{champion['latency_ms']:.2f} ms", "one image, one thread, median"))
    if energy.get("wh") is not None:
        figures.append(("Energy", watt_hours(energy["wh"], energy["measured"]), energy_remark(energy)))
    return figures


def energy_remark(energy: dict[str, Any]) -> str:
    """What the energy emitted, and what an image costs."""
    image = energy.get("inference_mj")
    costs = "" if image is None else f"; {millijoules(image, energy['measured'])} an image"
    return emissions(energy) + costs


def _test_remark(study: StudyView) -> str:
    error, images = champion_of(study).get("test_error"), study.data.num_images.get("test", 0)
    openings = study.summary.get("test_openings")
    remarks = []
    if error is not None and images:
        low, high = wilson_interval(error, images)
        remarks.append(f"{100 * low:.2f} to {100 * high:.2f} % with {number(images)} images")
    if openings is not None:
        times = f"opened {openings}×"
        remarks.append(f"{times} here" if study.machine_test_openings is None else f"{times} here, ")
        if study.machine_test_openings is not None:
            remarks[-1] += f"{study.machine_test_openings}× on this machine"
    return "; ".join(remarks)


def plural(word: str, count: int) -> str:
    """`edit` or `edits`."""
    return word if count == 1 else f"{word}s"
