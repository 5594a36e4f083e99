import pytest

from modules.search.learning_curve import fit_curve


def test_a_power_law_is_found_again():
    fit = fit_curve([(n, 2.0 * n**-0.5) for n in (100, 200, 400, 800)])
    assert fit.exponent == pytest.approx(0.5)
    (images, error, low, high), (_, fourfold, *_) = fit.predicted
    assert (images, error) == (1600, pytest.approx(0.05))
    assert low == pytest.approx(error)
    assert high == pytest.approx(error)
    assert fourfold == pytest.approx(2.0 * 3200**-0.5)
    assert "more images would help: 1,600" in fit.sentence


def test_noise_makes_the_interval_wide():
    fit = fit_curve([(100, 0.30), (100, 0.20), (200, 0.28), (200, 0.21), (400, 0.27), (400, 0.22)])
    assert "maybe nothing" in fit.sentence


def test_too_few_points_say_nothing():
    assert "too few points" in fit_curve([(100, 0.3), (200, 0.2)]).sentence
    assert "too few points" in fit_curve([(100, 0.0), (200, 0.0), (400, 0.0)]).sentence
