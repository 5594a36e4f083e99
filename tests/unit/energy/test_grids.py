import pytest

from modules.energy.grids import WORLD, countries, find_grid


def test_grams_follow_from_the_grid():
    assert find_grid("DEU").grams(1000.0) == find_grid("DEU").grams_per_kwh == 381
    assert find_grid("FRA").grams(10.0) == pytest.approx(0.56)


def test_without_a_country_it_is_the_world():
    world = find_grid(None)
    assert world.name == WORLD
    assert 400 < world.grams_per_kwh < 520


def test_every_grid_is_plausible():
    assert len(countries()) > 200
    for country in countries():
        assert len(country) == 3
        assert 1 <= find_grid(country).grams_per_kwh < 1400
