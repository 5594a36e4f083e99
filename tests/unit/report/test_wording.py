import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_study import interval, made_up_view
from scipy.stats import binomtest

from modules.evaluation.intervals import wilson_interval
from modules.records import Part, Step
from modules.report.wording import (
    duration,
    edits_of,
    effect,
    headline,
    judgement,
    magnitude,
    number,
    outcome,
    percent,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.31, "0.3 s"), (31.4, "31 s"), (59.99, "60 s"), (62.0, "1 min 02 s"), (3725, "1 h 02 min")],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_figures() -> None:
    assert percent(0.01389) == "1.39\N{NO-BREAK SPACE}%"
    assert percent(None) == number(None) == magnitude(None) == effect(None) == "–"
    assert number(41226) == "41,226"
    assert [magnitude(value) for value in (12, 41_226, 8_123_456, 3.2e9)] == ["12", "41.2 k", "8.12 M", "3.2 G"]
    assert effect(interval(-0.0123, 0.002)) == "−0.0123 (−0.0162 to −0.0084)"


@given(st.integers(0, 500), st.integers(1, 500))
def test_the_interval_of_an_error_is_wilsons(wrong: int, more: int) -> None:
    images = wrong + more
    reference = binomtest(wrong, images).proportion_ci(0.95, method="wilson")
    assert wilson_interval(wrong / images, images) == pytest.approx((reference.low, reference.high), abs=1e-4)


def test_outcomes() -> None:
    rows = edits_of(made_up_view(2))
    assert [outcome(row) for row in rows] == [
        "kept, confirmed",
        "not kept",
        "not kept",
        "kept, not confirmed",
        "not kept",
        "not kept",
    ]
    assert outcome(rows[0].updated(confirmed=None)) == "kept"
    assert judgement(rows[1]) == "not kept: no better than the control beyond chance (p = 0.61)"
    assert judgement(rows[1].updated(verdict="Too slow.")) == "not kept: Too slow."
    assert judgement(rows[1].updated(verdict="")) == "not kept"


def test_headlines() -> None:
    view = made_up_view(1)
    params = f"{view.summary['champion']['params']:,}"
    assert headline(view) == (
        f"A network of {params} parameters, 0.28\N{NO-BREAK SPACE}% of the test images wrong, "
        "after 1 generation in which 1 of 3 edits was kept."
    )
    unopened = {**view.summary, "champion": {**view.summary["champion"], "test_error": None}}
    assert "the test set not opened" in headline(view.updated(summary=unopened))
    assert headline(view.updated(summary={"state": "failed"})) == "The study did not end: it is failed."


def test_on_a_front_the_headline_counts_the_edits_that_led_to_the_winner() -> None:
    view = made_up_view(2)
    steps = [Step(trial="trial", seed=0, slice={}, schedule=Part(target="constant"))] * 3
    lineage = (steps[0], *(step.updated(edit=Part(target="edit")) for step in steps[1:]))
    summary = {**view.summary, "front": [{}]}
    view = view.updated(summary=summary, ledger=view.ledger.updated(lineage=lineage))
    assert headline(view).endswith(" after 2 generations in which 2 of 6 edits led to it.")
