import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_study import make_data

from modules.augmentation.policy import build_policy
from modules.data.arrays import open_arrays
from modules.randomness import words
from modules.records import Part
from modules.training.batches import Stream, TrainingData

IDENTITIES = words("identity", np.arange(50, dtype=np.uint64))
INDICES = np.arange(3, 50, 2, dtype=np.int64)  # 24 of them


def slow_piece(indices, identities, seed, first, count):
    """One position after another, each epoch sorted anew."""
    chosen, epochs = [], []
    for position in range(first, first + count):
        epoch, place = divmod(position, len(indices))
        ranked = sorted(indices, key=lambda index: int(words(seed, "order", epoch, int(identities[index]))))
        chosen.append(int(ranked[place]))
        epochs.append(epoch)
    return chosen, epochs


@given(st.integers(0, 2**62), st.integers(0, 200), st.integers(1, 80))
@settings(max_examples=30)
def test_a_piece_is_that_of_the_slow_version(seed, first, count):
    chosen, epochs = Stream(INDICES, IDENTITIES, seed).piece(first, count)
    assert (chosen.tolist(), epochs.tolist()) == slow_piece(INDICES, IDENTITIES, seed, first, count)


@given(st.integers(0, 2**62), st.integers(0, 5))
def test_each_epoch_is_a_permutation_and_no_two_are_alike(seed, epoch):
    stream = Stream(INDICES, IDENTITIES, seed)
    one, _ = stream.piece(epoch * 24, 24)
    next_one, _ = stream.piece((epoch + 1) * 24, 24)
    assert sorted(one) == sorted(next_one) == INDICES.tolist()
    assert one.tolist() != next_one.tolist()


@given(st.integers(0, 100), st.lists(st.integers(1, 60), min_size=1, max_size=8))
def test_the_order_does_not_depend_on_the_batch_size(first, sizes):
    whole, whole_epochs = Stream(INDICES, IDENTITIES, 1).piece(first, sum(sizes))
    stream, pieces, position = Stream(INDICES, IDENTITIES, 1), [], first
    for size in sizes:
        pieces.append(stream.piece(position, size))
        position += size
    np.testing.assert_array_equal(np.concatenate([chosen for chosen, _ in pieces]), whole)
    np.testing.assert_array_equal(np.concatenate([epochs for _, epochs in pieces]), whole_epochs)


@given(st.permutations(range(50)), st.integers(0, 100))
def test_the_order_of_images_does_not_depend_on_the_order_of_files(order, first):
    shuffled = IDENTITIES[list(order)]
    indices = np.flatnonzero(np.isin(shuffled, IDENTITIES[INDICES]))
    before, _ = Stream(INDICES, IDENTITIES, 1).piece(first, 40)
    after, _ = Stream(indices, shuffled, 1).piece(first, 40)
    np.testing.assert_array_equal(shuffled[after], IDENTITIES[before])


def test_another_seed_is_another_order():
    first, second = (Stream(INDICES, IDENTITIES, seed).piece(0, 24)[0].tolist() for seed in (1, 2))
    assert first != second


POLICY = (
    Part(target="modules.augmentation.shift.Shift", arguments={"max_pixels": 1}),
    Part(target="modules.augmentation.flip.Flip"),
)


def batches(home, record, batch_size, count, first_sample=0):
    arrays = open_arrays(home, record)
    source = TrainingData(
        arrays, arrays.indices("train"), build_policy(POLICY), 5, batch_size, first_sample, batches_per_epoch=count
    )
    found = list(source)
    images = np.concatenate([images.numpy() for images, _ in found])
    labels = np.concatenate([labels.numpy() for _, labels in found])
    return images, labels


@pytest.mark.parametrize("batch_size", [1, 7, 30, 100])
def test_augmented_images_do_not_depend_on_the_batch_size(home, data, batch_size):
    images, labels = batches(home, data, 210, 1)
    count = 210 // batch_size
    others, other_labels = batches(home, data, batch_size, count)
    np.testing.assert_array_equal(others, images[: count * batch_size])
    np.testing.assert_array_equal(other_labels, labels[: count * batch_size])


def test_a_slice_goes_on_where_the_last_one_stopped(home, data):
    images, labels = batches(home, data, 10, 9)
    later, later_labels = batches(home, data, 10, 4, first_sample=50)
    np.testing.assert_array_equal(later, images[50:])
    np.testing.assert_array_equal(later_labels, labels[50:])


def test_images_in_another_order_of_files_make_the_same_batches(home, data):
    images, labels = batches(home, data, 20, 5)
    reversed_images, reversed_labels = batches(home, make_data(home, "reversed"), 20, 5)
    np.testing.assert_array_equal(reversed_images, images)
    np.testing.assert_array_equal(reversed_labels, labels)


def test_batches_are_what_networks_take(home, data):
    images, labels = batches(home, data, 16, 1)
    assert images.shape == (16, 1, 8, 8)
    assert images.dtype == np.float32
    assert images.min() >= 0.0
    assert images.max() <= 1.0
    assert labels.dtype == np.int64


def test_it_has_as_many_batches_as_it_says(home, data):
    arrays = open_arrays(home, data)
    source = TrainingData(arrays, arrays.indices("train"), build_policy(()), 0, 8, 0, batches_per_epoch=3)
    assert len(source) == len(list(source)) == 3
    assert source.cursor == 24
