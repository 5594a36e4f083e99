import errno
import os

import numpy as np
import pytest
import torch
from tiny_study import NUM_TRAIN, tiny_recipe, tiny_spec

from modules.augmentation.draws import Draws
from modules.augmentation.policy import build_policy
from modules.data.arrays import open_arrays
from modules.errors import HomeError
from modules.evaluation.observing import as_batch
from modules.records import Part
from modules.store import Store
from modules.training import copies
from modules.training.copies import with_copies
from modules.training.training import Training
from modules.training.trial import run_trial

HALF = Part(target="modules.selection.random_fraction.RandomFraction", arguments={"fraction": 0.5})


def say_nothing(progress):
    pass


def enlarged(home, data, recipe):
    arrays = open_arrays(home, data)
    return arrays, *with_copies(arrays, arrays.selected(recipe.selection), recipe, data, Store(home / "store"))


@pytest.mark.parametrize("mode", ["all", "one"])
def test_copies_are_what_as_many_epochs_would_have_shown(home, data, mode):
    recipe = tiny_recipe(augmentation_copies=2, augmentation_mode=mode)
    arrays, more, selected = enlarged(home, data, recipe)
    train, count = arrays.indices("train"), len(arrays.images)
    np.testing.assert_array_equal(more.images[:count], arrays.images)
    np.testing.assert_array_equal(selected[:NUM_TRAIN], train)
    policy = build_policy(recipe.augmentation, mode)
    for copy in range(2):
        here = selected[(1 + copy) * NUM_TRAIN : (2 + copy) * NUM_TRAIN]
        shown = policy(as_batch(arrays.images[train]), Draws(0, copy, arrays.identities[train]))
        torch.testing.assert_close(as_batch(more.images[here]), shown, atol=0.5 / 255 + 1e-6, rtol=0)
        np.testing.assert_array_equal(more.labels[here], arrays.labels[train])
    assert len(np.unique(more.identities)) == count + 2 * NUM_TRAIN
    for part in ("train", "steer", "confirm", "test"):
        np.testing.assert_array_equal(more.indices(part), arrays.indices(part))


def test_images_that_were_not_selected_have_no_copies_in_the_training(home, data):
    arrays, more, selected = enlarged(home, data, tiny_recipe(augmentation_copies=3, selection=HALF))
    originals = arrays.selected(HALF)
    assert 0 < len(originals) < NUM_TRAIN
    places = np.searchsorted(arrays.indices("train"), originals)
    assert set(selected) == {
        *originals,
        *(len(arrays.images) + copy * NUM_TRAIN + p for copy in range(3) for p in places),
    }
    np.testing.assert_array_equal(more.labels[selected], np.tile(arrays.labels[originals], 4))


def test_copies_are_made_once_for_all_seeds_and_selections(home, data, monkeypatch):
    made = []
    make = copies._make
    monkeypatch.setattr(copies, "_make", lambda *arguments: (made.append(1), make(*arguments)))
    for changes in ({}, {"selection": HALF}, {"learning_rate": 0.5}):
        enlarged(home, data, tiny_recipe(augmentation_copies=1, **changes))
    assert len(made) == 1
    enlarged(home, data, tiny_recipe(augmentation_copies=1, augmentation=()))
    assert len(made) == 2


def test_a_disk_that_they_do_not_fit_on_is_said(home, data, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(HomeError, match="there is no space left"):
        enlarged(home, data, tiny_recipe(augmentation_copies=1))


def test_a_training_sees_originals_and_copies_and_draws_nothing(home, data):
    spec = tiny_spec(data)
    spec = spec.updated(recipe=tiny_recipe(augmentation_copies=1))
    training = Training(spec, home, Store(home / "store"), say_nothing)
    assert training.history.epoch_samples == 2 * NUM_TRAIN
    images, _ = next(iter(training.data.upcoming(2 * NUM_TRAIN)))
    again, _ = next(iter(training.data.upcoming(2 * NUM_TRAIN, skip=2 * NUM_TRAIN)))

    def rows(batch):
        return sorted(map(tuple, (batch * 255).round().flatten(1).tolist()))

    assert rows(images) == rows(again)  # the next epoch has the same images, in another order
    assert not torch.equal(images, again)
    result = run_trial(spec, home, say_nothing)
    assert result.epochs == pytest.approx(160 / (2 * NUM_TRAIN))
    assert result.key != tiny_spec(data).key
