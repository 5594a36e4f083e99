from itertools import islice

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


@given(st.integers(0, 2**62), st.integers(0, 3))
def test_copies_have_places_and_draws_of_their_own(seed, epoch):
    repeated = np.repeat(INDICES, [3 if index % 3 == 0 else 1 for index in INDICES])
    chosen, epochs = Stream(repeated, IDENTITIES, seed).piece(epoch * len(repeated), len(repeated))
    assert sorted(chosen) == sorted(repeated)
    assert len(set(zip(chosen.tolist(), epochs.tolist(), strict=True))) == len(repeated)
    # what is not repeated, and each first copy, comes in the order and with the epoch of a stream without copies
    first = epochs == epoch
    plain, _ = Stream(INDICES, IDENTITIES, seed).piece(epoch * len(INDICES), len(INDICES))
    np.testing.assert_array_equal(chosen[first], plain)


def test_copies_do_not_stand_side_by_side():
    repeated = np.repeat(INDICES, 4)
    chosen, _ = Stream(repeated, IDENTITIES, 0).piece(0, len(repeated))
    assert (np.diff(chosen) == 0).sum() < len(repeated) / 4


POLICY = (
    Part(target="modules.augmentation.shift.Shift", arguments={"max_pixels": 1}),
    Part(target="modules.augmentation.flip.Flip"),
)


def source_of(home, record, batch_size=16, first_sample=0, mixing=None, most_at_once=None):
    arrays = open_arrays(home, record)
    policy = build_policy(POLICY)
    how = {"mixing": mixing, "seed": 5, "batch_size": batch_size, "first_sample": first_sample}
    return TrainingData(arrays, arrays.indices("train"), policy, **how, most_at_once=most_at_once)


def joined(batches):
    """The images and labels of all pieces of all batches."""
    pieces = [piece for batch in batches for piece in batch]
    return tuple(np.concatenate([each.numpy() for each in column]) for column in zip(*pieces, strict=True))


def batches(home, record, batch_size, count, **options):
    return joined(islice(source_of(home, record, batch_size, **options), count))


@pytest.mark.parametrize("batch_size", [1, 7, 30, 100])
def test_augmented_images_do_not_depend_on_the_batch_size(home, data, batch_size):
    images, labels = batches(home, data, 210, 1)
    count = 210 // batch_size
    others, other_labels = batches(home, data, batch_size, count)
    np.testing.assert_array_equal(others, images[: count * batch_size])
    np.testing.assert_array_equal(other_labels, labels[: count * batch_size])


def test_the_size_may_change_before_any_batch(home, data):
    images, labels = batches(home, data, 210, 1)
    source, found = source_of(home, data), []
    for size, batch in zip((7, 100, 1, 60, 42), source, strict=False):
        assert batch.size == len(batch) == source.batch_size
        found.append(batch)
        source.batch_size = size
    np.testing.assert_array_equal(joined(found)[0], images[: 16 + 7 + 100 + 1 + 60])
    np.testing.assert_array_equal(joined(found)[1], labels[: 16 + 7 + 100 + 1 + 60])


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


@pytest.mark.parametrize(("most_at_once", "sizes"), [(1, [1] * 70), (32, [32, 32, 6]), (70, [70]), (None, [70])])
def test_pieces_hold_no_more_than_they_may_and_make_up_the_batch(home, data, most_at_once, sizes):
    batch = source_of(home, data, 70, most_at_once=most_at_once).next_batch()
    assert [len(images) for images, _ in batch] == sizes
    for one, other in zip(joined([batch]), batches(home, data, 70, 1), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_batch_can_be_gone_through_again(home, data):
    batch = source_of(home, data, 20, most_at_once=8).next_batch()
    for one, other in zip(joined([batch]), joined([batch]), strict=True):
        np.testing.assert_array_equal(one, other)


def test_batches_are_what_networks_take(home, data):
    images, labels = batches(home, data, 16, 1)
    assert images.shape == (16, 1, 8, 8)
    assert images.dtype == np.float32
    assert images.min() >= 0.0
    assert images.max() <= 1.0
    assert labels.dtype == np.int64


def test_mixed_images_come_with_the_shares_of_their_classes(home, data):
    def brighter(images, targets, draws):
        return images + 1.0, targets * 0.5

    images, shares = batches(home, data, 16, 2, mixing=brighter)
    plain, labels = batches(home, data, 16, 2)
    np.testing.assert_array_equal(images, plain + 1.0)
    np.testing.assert_array_equal(shares, np.eye(3, dtype=np.float32)[labels] * 0.5)


def test_it_has_no_end_and_no_batch_is_made_ahead(home, data):
    source = source_of(home, data, 8)
    assert len(source) > 10**15
    for number, _ in enumerate(islice(source, 20), 1):
        assert source.cursor == 8 * number


def test_what_is_to_come_can_be_looked_at_and_still_comes(home, data):
    source, images = source_of(home, data, 10, first_sample=50), batches(home, data, 200, 1)[0]
    np.testing.assert_array_equal(joined([source.upcoming(64, skip=30)])[0], images[80:144])
    assert source.cursor == 50
    np.testing.assert_array_equal(joined([source.next_batch()])[0], images[50:60])


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_each_batch_and_what_is_to_come_is_whole(home, data, world_size):
    images, _ = batches(home, data, 16, 3)
    for rank in range(world_size):
        source = source_of(home, data)
        source.rank, source.world_size = rank, world_size
        for number in range(3):
            np.testing.assert_array_equal(joined([source.upcoming(16)])[0], images[16 * number :][:16])
            batch = source.next_batch()
            assert batch.size == 16
            np.testing.assert_array_equal(joined([batch])[0], images[16 * number :][:16][rank::world_size])
