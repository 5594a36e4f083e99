import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.selection.random_fraction import RandomFraction

LABELS = np.random.default_rng(0).integers(0, 5, 4000)
IDENTITIES = np.random.default_rng(1).integers(0, 2**63, 4000).astype(np.uint64)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_about_the_fraction_is_kept(fraction):
    kept = RandomFraction(fraction)(LABELS, IDENTITIES)
    assert abs(len(kept) / 4000 - fraction) < 0.032  # 4 standard errors
    assert (np.diff(kept) > 0).all()


def test_all_are_kept_at_one():
    assert len(RandomFraction(1.0)(LABELS, IDENTITIES)) == 4000


@given(small=st.floats(0.001, 1.0), large=st.floats(0.001, 1.0))
def test_a_larger_fraction_keeps_what_a_smaller_one_did(small, large):
    small, large = sorted((small, large))
    kept = [set(RandomFraction(fraction)(LABELS, IDENTITIES).tolist()) for fraction in (small, large)]
    assert kept[0] <= kept[1]


@given(order=st.permutations(range(60)), seed=st.integers(0, 1000))
def test_the_choice_follows_from_content_not_from_order(order, seed):
    select = RandomFraction(0.3, seed)
    kept = set(IDENTITIES[:60][select(LABELS[:60], IDENTITIES[:60])].tolist())
    labels, identities = LABELS[:60][order], IDENTITIES[:60][order]
    assert set(identities[select(labels, identities)].tolist()) == kept


def test_no_class_is_lost():
    kept = RandomFraction(0.001)(LABELS, IDENTITIES)
    assert set(LABELS[kept].tolist()) == {0, 1, 2, 3, 4}


def test_seeds_differ():
    one, two = (RandomFraction(0.5, seed)(LABELS, IDENTITIES).tolist() for seed in (0, 1))
    assert one != two


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.01, float("nan")])
def test_an_impossible_fraction_is_refused(fraction):
    with pytest.raises(ValueError, match=r"fraction is .*; allowed is above 0 and up to 1"):
        RandomFraction(fraction)
