import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_rows import row

from modules.search.edit_odds import Credit, credit_of
from modules.search.judging import PRIOR_EFFECT

LOSS = 1.0


def weight(*rows, edit="widen_layer"):
    return credit_of(edit, rows, LOSS).weight


def test_what_was_never_trained_has_neither_earned_nor_lost_anything():
    assert credit_of("widen_layer", (), LOSS) == Credit(edit="widen_layer")
    others = (row("add_layer", kept=True), row(trained=False))
    assert credit_of("widen_layer", others, LOSS) == Credit(edit="widen_layer")
    assert Credit(edit="widen_layer").sentence == ""


def test_counts_by_hand():
    """One in four to begin with, worth four tries; effects of zero leave the rest as it is."""
    assert weight(row()) == pytest.approx((1 / 5) / (1 / 4))
    assert weight(row(kept=True)) == pytest.approx((2 / 5) / (1 / 4))
    assert weight(row(kept=True), row(), row(), row()) == pytest.approx((2 / 8) / (1 / 4))


def test_gains_by_hand():
    sure = row(effect=-PRIOR_EFFECT, error=0.0)  # as large as effects usually are, and beyond doubt
    assert credit_of("widen_layer", [sure], LOSS).gain == pytest.approx(PRIOR_EFFECT)
    assert weight(sure) == pytest.approx(0.8 * 2 ** (1 / 5))
    doubtful = row(effect=-PRIOR_EFFECT, error=PRIOR_EFFECT)
    assert credit_of("widen_layer", [doubtful], LOSS).gain == pytest.approx(PRIOR_EFFECT / 2)
    dear = row(effect=-PRIOR_EFFECT, error=0.0, flops=(1000, 2000))
    assert credit_of("widen_layer", [dear], LOSS).gain == pytest.approx(PRIOR_EFFECT / 2)


def test_the_sentence_says_all_of_it():
    rows = (row(effect=-0.03, error=0.0, kept=True), row(effect=0.01, error=0.0))
    credit = credit_of("widen_layer", rows, LOSS)
    assert credit.sentence == (
        "widen_layer was kept 1 of 2 times so far and its expected gain for its cost was +1.0% of the loss, so that "
        f"its odds are times {credit.weight:.2f}"
    )


EFFECTS = st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 1), st.booleans()), max_size=20)


@given(EFFECTS)
def test_credit_is_bounded_and_better_rows_earn_no_less(effects):
    rows = [row(effect=effect, error=error, kept=kept) for effect, error, kept in effects]
    better = [row(effect=effect - 0.1, error=error, kept=kept) for effect, error, kept in effects]
    kept = [row(effect=effect, error=error, kept=True) for effect, error, _ in effects]
    assert 0.25 <= weight(*rows) <= 4
    assert weight(*better) >= weight(*rows)
    assert weight(*kept) >= weight(*rows)
    assert weight(*reversed(rows)) == pytest.approx(weight(*rows))


def test_a_loss_of_zero_divides_nothing():
    assert credit_of("widen_layer", [row(kept=True)], 0.0).gain == 0.0
