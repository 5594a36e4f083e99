import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from modules.augmentation.draws import Draws

IDENTITIES = np.random.default_rng(0).integers(0, 2**63, 5000).astype(np.uint64)


@given(seed=st.integers(0, 2**63), epoch=st.integers(0, 10_000), start=st.integers(0, 4999))
def test_an_image_draws_the_same_in_every_batch(seed, epoch, start):
    whole = Draws(seed, epoch, IDENTITIES).uniform("angle")
    part = Draws(seed, epoch, IDENTITIES[start::-7]).uniform("angle")
    np.testing.assert_array_equal(part, whole[start::-7])


def test_numbers_lie_evenly_within_the_bounds():
    numbers = Draws(0, 0, IDENTITIES).uniform("angle", -2.0, 6.0)
    assert numbers.min() >= -2
    assert numbers.max() < 6
    shares = np.histogram(numbers, bins=8, range=(-2, 6))[0] / len(numbers)
    np.testing.assert_allclose(shares, 1 / 8, atol=0.02)


def test_each_coordinate_gives_other_numbers():
    draws = Draws(0, 0, IDENTITIES)
    others = [
        Draws(1, 0, IDENTITIES).uniform("angle"),
        Draws(0, 1, IDENTITIES).uniform("angle"),
        draws.uniform("factor"),
        draws.scoped("Shift1").uniform("angle"),
        draws.scoped("a").scoped("b").uniform("angle"),
        draws.scoped("b").scoped("a").uniform("angle"),
    ]
    columns = np.stack([draws.uniform("angle"), *others])
    correlations = np.corrcoef(columns) - np.eye(len(columns))
    assert np.abs(correlations).max() < 0.06  # four standard errors of a correlation of nothing


def test_strengths_go_up_to_their_limit_and_at_full_strength_reach_it():
    draws = Draws(0, 0, IDENTITIES)
    full = draws.at_full_strength()
    np.testing.assert_array_equal(draws.either_way("angle", 3.0), draws.uniform("angle", -3.0, 3.0))
    np.testing.assert_array_equal(draws.up_to("sigma", 3.0), draws.uniform("sigma", 0.0, 3.0))
    np.testing.assert_array_equal(full.either_way("angle", 3.0), 3 * np.sign(draws.either_way("angle", 3.0)))
    assert set(full.up_to("sigma", 3.0)) == {3.0}


def test_normal_numbers_are_normal():
    numbers = Draws(0, 0, IDENTITIES).normal("noise", 101)
    assert numbers.shape == (5000, 101)
    assert kstest(numbers.ravel()[::7], "norm").pvalue > 0.01
    correlations = np.corrcoef(numbers[:, [0, 1, 50, 51, 52, 100]].T) - np.eye(6)
    assert np.abs(correlations).max() < 0.06
    np.testing.assert_array_equal(Draws(0, 0, IDENTITIES[:9]).normal("noise", 101), numbers[:9])


@given(start=st.integers(0, 4999))
def test_those_of_some_are_those_that_all_have(start):
    chosen = np.arange(start, -1, -7)
    epochs = np.arange(5000, dtype=np.uint64)
    for epoch in (3, epochs):
        whole = Draws(1, epoch, IDENTITIES, "a")
        np.testing.assert_array_equal(whole.of(chosen).uniform("b"), whole.uniform("b")[chosen])
        np.testing.assert_array_equal(whole.of(chosen[:9]).normal("b", 4), whole.normal("b", 4)[chosen[:9]])
