"""The candidates of a found policy as a table: on the page, and in Markdown."""

from collections.abc import Sequence
from typing import Any

from modules.report.wording import NOTHING, percent, signed
from modules.search.augmentation import Candidate, FoundPolicy

COLUMNS = ("affinity", "diversity", "cost", "most taken for another", "gain")


def figures_of(candidate: Candidate, classes: Sequence[str]) -> tuple[str, ...]:
    """A cell for each of COLUMNS."""
    confusion = candidate.confusion
    taken = f"{classes[confusion.of]} for {classes[confusion.taken_for]}: {signed(100 * confusion.rise, 0)} %"
    return (
        f"{signed(100 * candidate.affinity, 1)} %",
        f"{candidate.diversity:.2f} ×",
        f"{signed(100 * candidate.cost, 0)} %",
        taken if confusion.rise > 0 else NOTHING,
        NOTHING if candidate.gain is None else f"{signed(100 * candidate.gain, 1)} %",
    )


def in_order(found: FoundPolicy) -> list[Candidate]:
    """What was kept first, then what was tried, then the rest as they were named."""
    return sorted(found.candidates, key=lambda each: (not each.kept, each.gain is None, -(each.gain or 0.0)))


def policy_view(found: FoundPolicy, classes: Sequence[str]) -> dict[str, Any]:
    """What the page shows."""
    candidates = [
        {
            "name": candidate.name,
            "figures": figures_of(candidate, classes),
            "kept": candidate.kept,
            "why": candidate.why,
            "picture": candidate.picture,
        }
        for candidate in in_order(found)
    ]
    return {"summary": summary_of_policy(found), "columns": COLUMNS, "candidates": candidates}


def policy_markdown(found: FoundPolicy, classes: Sequence[str]) -> str:
    """For Prefect's page."""
    lines = ["# Augmentation", "", summary_of_policy(found), ""]
    lines += [f"| transform | {' | '.join(COLUMNS)} | |", "| --- " * (len(COLUMNS) + 2) + "|"]
    for candidate in in_order(found):
        name = f"**{candidate.name}**" if candidate.kept else candidate.name
        cells = [name, *figures_of(candidate, classes), ("kept: " if candidate.kept else "") + candidate.why]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def summary_of_policy(found: FoundPolicy) -> str:
    """The policy in a sentence."""
    kept = [candidate.name for candidate in found.candidates if candidate.kept]
    if not kept:
        return f"None of {len(found.candidates)} candidates earned a place: images are not transformed."
    return (
        f"{len(kept)} of {len(found.candidates)} candidates were kept: {'; '.join(kept)}. Together they raise the loss "
        f"on steer by {percent(found.cost)} for a network that has learnt of them. Between seeds the loss of a slice "
        f"varies by {percent(found.noise)}."
    )
