"""Spaces of a user's own in which an optimiser has a momentum or none: numbers are read as a person means them."""

import pytest

from modules.config import Variations, resolve
from modules.errors import ConfigError
from modules.search.sampler import Sampler


@pytest.fixture
def written(tmp_path):
    def write(momenta):
        path = tmp_path / "mine.yaml"
        path.write_text(f"optimizer.momentum: {momenta}\n")
        return ["search=sweep", "optimizer=rmsprop", f"search.space={path}"]

    return write


@pytest.mark.parametrize("momenta", ["choice(0, 0.9)", "choice(0.0, 0.9)", "interval(0, 0.9)", "range(0, 0.95, 0.3)"])
def test_the_configuration_without_momentum_lies_in_the_space(written, momenta):
    overrides = written(momenta)
    space = resolve(overrides).search.space
    point = Variations(overrides).point(space, {})
    assert point == {"optimizer.momentum": 0.0}
    assert Sampler(space, 0, first=[point]).ask().values == point
    for momentum in (0, 0.0, 0.9):
        point = {"optimizer.momentum": momentum}
        assert space.contains(point)
        assert Variations(overrides).settings(point).optimizer.arguments["momentum"] == momentum
    assert not space.contains({"optimizer.momentum": False})


def test_one_number_is_one_value(written):
    with pytest.raises(ConfigError, match=r"optimizer\.momentum can only be 0\.0; allowed are two values or more"):
        resolve(written("choice(0, 0.0)"))


def test_without_momentum_is_a_number(written):
    with pytest.raises(ConfigError, match="has null among its values; allowed are numbers and words"):
        resolve(written("null, 0.9"))
    with pytest.raises(
        ConfigError, match=r"mine\.yaml: cannot read optimizer\.momentum: choice\(null, 0\.9\); allowed is"
    ):
        resolve(written("choice(null, 0.9)"))
