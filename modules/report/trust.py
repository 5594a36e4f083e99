"""What a reader who did not run a study needs in order to judge it: a word and a sentence or two each."""

from collections.abc import Iterator

from modules.evaluation.intervals import wilson_interval
from modules.explanation.records import Explanation
from modules.report.view import StudyView
from modules.report.wording import champion_of, edits_of, number, plural


def trust(study: StudyView) -> list[tuple[str, str]]:
    """What each figure rests on, and what speaks against it; empty where there is no winner."""
    return list(_said(study)) if champion_of(study) else []


def _said(study: StudyView) -> Iterator[tuple[str, str]]:
    if (tested := _test(study)) is not None:
        yield "Test error", tested
    if edits_of(study):
        yield "Edits", _edits(study)
    if len(study.ledger.final) > 1:
        yield "Validation error", "Its images also chose between the final trainings, so it may be a little too good."
    if study.explanation is not None:
        yield "What it looks at", _focus(study.explanation)
    if study.selection is not None and (suspects := sum(study.selection.num_suspects.values())):
        yield "Labels", f"{number(suspects)} of the images that were looked at have a label that may be wrong."
    if study.bundle is not None:
        yield "Deployment", " ".join((*study.bundle.checks[:1], study.bundle.gate))


def _test(study: StudyView) -> str | None:
    error, images = champion_of(study).get("test_error"), study.data.num_images.get("test", 0)
    if error is None or not images:
        return None
    low, high = wilson_interval(error, images)
    rests = f"It rests on {number(images)} images: with 95 % confidence between {100 * low:.2f} and {100 * high:.2f} %."
    openings = study.machine_test_openings
    if openings is None:
        return rests
    if openings <= 1:
        return f"{rests} The test set was opened once, after everything was decided, and never before on this machine."
    return (
        f"{rests} This machine has opened the test set {openings} times: the more was chosen by it, the less it says."
    )


def _focus(explanation: Explanation) -> str:
    if not any(method.shown for method in explanation.methods):
        return "It was not looked at: no method passed its checks."
    return "; ".join(explanation.suspicions) or "Nothing that looks like a shortcut."


def _edits(study: StudyView) -> str:
    kept = [row for row in edits_of(study) if row.kept]
    confirmed = sum(row.confirmed is True for row in kept)
    if not kept:
        claim = "None was clearly better than going on without it."
    elif confirmed:
        claim = f"{confirmed} of the {len(kept)} kept {plural('edit', len(kept))} confirmed: better on confirm as well."
    else:
        claim = f"None of the {len(kept)} kept {plural('edit', len(kept))} is confirmed: the gain may be chance."
    limits = [each.smallest_effect for each in study.ledger.generations if each.smallest_effect is not None]
    if not limits:
        return claim
    low, high = f"{min(limits):.4f}", f"{max(limits):.4f}"
    return f"{claim} Effects below {low if low == high else f'{low} to {high}'} nats would have been missed."
