import numpy as np
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


def test_twice_as_many_are_twice_those_that_there_are():
    fit = fit_curve([(n, 2.0 * n**-0.5) for n in (100, 200, 400, 750)], 1000)
    assert fit.points[-1][0] == 750
    assert [images for images, *_ in fit.predicted] == [2000, 4000]
    assert fit.predicted[0][1] == pytest.approx(2.0 * 2000**-0.5)


def test_the_interval_is_that_of_an_ordinary_regression():
    measured = [(100, 0.30), (100, 0.27), (200, 0.24), (200, 0.21), (400, 0.19)]
    x, y = np.log(measured).T
    design = np.stack([np.ones(5), x], axis=1)
    fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    residual = np.sqrt(np.sum((y - fitted) ** 2) / 3)
    at = np.log(800)
    spread = residual * np.sqrt(1 / 5 + (at - x.mean()) ** 2 / np.sum((x - x.mean()) ** 2))
    _, error, low, high = fit_curve(measured).predicted[0]
    quantile = 3.182446  # of Student's t with three degrees of freedom
    assert (low, high) == (
        pytest.approx(error * np.exp(-quantile * spread)),
        pytest.approx(error * np.exp(quantile * spread)),
    )


def test_noise_makes_the_interval_wide():
    fit = fit_curve([(100, 0.30), (100, 0.20), (200, 0.28), (200, 0.21), (400, 0.27), (400, 0.22)])
    assert "maybe nothing" in fit.sentence


def test_too_few_points_say_nothing():
    assert "too few points" in fit_curve([(100, 0.3), (200, 0.2)]).sentence
    assert "too few points" in fit_curve([(100, 0.0), (200, 0.0), (400, 0.0)]).sentence
