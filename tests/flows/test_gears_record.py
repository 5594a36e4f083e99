"""What the ledger says the study goes on from after gears were judged by folds, without a worker."""

from types import SimpleNamespace
from typing import Any

import pytest

from flows import concluding
from flows.gears import Thawing, judge_gears
from modules.search.generation import Child, Comparison, Confirmation, Judged, Trained, Trunk
from tests.made_up_plan import CLOCKLESS
from tests.unit.search.test_generation import MARGIN, child, trained

HEAD, HEADS_OF_FOLDS = trained("head", 8, 1.0), trained("head of fold 2", 8, 1.0)
TRUNK = Trunk(HEAD, 100, replicated=((1.0, 1.1),))
COMPARISON = Comparison(HEADS_OF_FOLDS, TRUNK, MARGIN, side_by_side=False)
GEARED = child("gear", 12, 0.5)


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """Which pairs *confirm* was opened for."""
    pairs = list[tuple[Any, Any]]()

    def confirm(study: Any, kept: Trained | None, control: Trained) -> Confirmation | None:
        pairs.append((kept, control))
        return Confirmation(kept.evidence, control.evidence) if kept else None

    monkeypatch.setattr(concluding, "confirmation_of", confirm)
    for name in ("write_ledger", "say_generation"):
        monkeypatch.setattr(concluding.reporting, name, lambda *arguments: None)
    return pairs


def judged_gears(children: list[Child], judged: Judged, kept: Trained | None) -> Trunk:
    study: Any = SimpleNamespace(settings=SimpleNamespace(training=SimpleNamespace(max_retreats=3)))
    planted: Any = None
    return judge_gears(Thawing(study, CLOCKLESS, TRUNK, planted, 1), COMPARISON, children, judged, kept)


def test_where_nothing_is_kept_the_study_goes_on_from_its_own_head() -> None:
    trunk = judged_gears([GEARED], COMPARISON.judge([GEARED]), None)
    (record,) = trunk.generations
    assert (record.contest, record.winner_trial) == ("gears", HEAD.first.key)
    assert (trunk.trained, trunk.position, trunk.lineage) == (HEAD, 100, ())


def test_what_is_kept_goes_on_and_is_confirmed_as_it_was_trained_on_all_images(opened: list[tuple[Any, Any]]) -> None:
    kept = child("gear", 12, 0.5, 0.51)
    judged = COMPARISON.judge([kept])
    assert judged.kept_child([kept]) is kept
    whole = trained("whole", 12, 0.4)
    trunk = judged_gears([kept], judged, whole)
    assert opened == [(whole, HEAD)]
    assert (trunk.trained, trunk.position) == (whole, 100 + whole.first.samples)
    assert [(step.trial, step.edit) for step in trunk.lineage] == [(whole.first.key, kept.proposal.edit)]
    assert trunk.lineage[0].slice["samples"] == CLOCKLESS.slice_samples
    assert (trunk.replicated, trunk.best) == (TRUNK.replicated, None)
    assert trunk.generations[0].rows[1].confirm_effect is not None
