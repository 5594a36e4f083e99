import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.errors import ConfigError
from modules.records import DataRecord, Part
from modules.search.first_recipe import batch_rule, first_recipe, range_test_fits


def data(num_train: int) -> DataRecord:
    sizes = {"train": num_train, "steer": 10, "confirm": 10, "test": 10}
    return DataRecord(
        name="some",
        digest="d",
        test_digest="t",
        folder="data/d",
        classes=("a", "b", "c"),
        image_shape=(1, 28, 28),
        num_images=sizes,
        num_groups=sizes,
        mean=(0.1,),
        std=(0.3,),
    )


def ema(half_life_samples: float | None) -> Part:
    return Part(target="ema", arguments={"half_life_samples": half_life_samples})


def recipe(num_train=48_000, **changes):
    wished = {
        "learning_rate": 0.003,
        "batch_size": None,
        "label_smoothing": 0.05,
        "gradient_clip": None,
        "averaging": ema(None),
        "mixing": None,
    }
    return first_recipe(
        data(num_train),
        model=Part(target="modules.architecture.start.first_architecture"),
        initialisation=Part(target="i"),
        optimizer=Part(target="o"),
        schedule=Part(target="s"),
        batching=Part(target="b"),
        selection=Part(target="k"),
        **(wished | changes),
    )


@pytest.mark.parametrize(
    ("num_train", "expected"), [(60_000, 128), (2048, 128), (2047, 64), (1000, 32), (480, 16), (10, 16)]
)
def test_the_batch_rule_by_hand(num_train, expected):
    assert batch_rule(num_train) == expected


@given(st.integers(1, 10**6))
def test_a_batch_is_a_power_of_two_within_bounds(num_train):
    size = batch_rule(num_train)
    assert 16 <= size <= 128
    assert size & (size - 1) == 0
    assert size == 16 or num_train / size >= 16


def test_what_is_left_open_follows_from_the_data():
    found = recipe()
    assert found.architecture.num_classes == 3
    assert found.architecture.image_shape == (1, 28, 28)
    assert found.batch_size == 128
    assert found.averaging == ema(24_000 / 4)
    assert recipe(10).batch_size == 10  # not larger than the set


def test_what_is_wished_is_in_the_recipe():
    found = recipe(batch_size=50, averaging=ema(123.4), gradient_clip=1.0)
    assert (found.batch_size, found.averaging, found.gradient_clip) == (50, ema(123.4), 1.0)
    assert recipe(averaging=Part(target="none")).averaging == Part(target="none")


def test_a_batch_may_be_all_of_the_data_but_not_more():
    assert recipe(1000, batch_size="all").batch_size == 1000
    assert recipe(1000, batch_size=1000).batch_size == 1000
    with pytest.raises(ConfigError, match=r"training.batch_size=1001 is larger .* up to 1000, or all$"):
        recipe(1000, batch_size=1001)


def test_a_range_test_of_full_batches_is_not_worth_it():
    assert range_test_fits(128, 48_000)
    assert range_test_fits(64, 1_066)
    assert not range_test_fits(48_000, 48_000)
