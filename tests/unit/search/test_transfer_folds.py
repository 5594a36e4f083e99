"""Folds of the training images for gears, and what networks say of those that they were not trained on."""

import numpy as np
import pytest
from tiny_study import NUM_TRAIN, NUMERICS, PLAIN, make_data, tiny_recipe

from modules.data.arrays import open_arrays
from modules.errors import DataError
from modules.records import Part
from modules.search.laboratory import Laboratory
from modules.search.transfer_folds import split_folds
from modules.selection.folds import filled_folds
from modules.selection.kept import AS_GIVEN, keep_list
from modules.training.spec import Slice
from modules.workers.jobs import find_job

KEEP_ALL = Part(target="modules.selection.keep_all.KeepAll")


class InProcess:
    """A pool without a process."""

    def call(self, job, arguments, report=lambda progress: None):
        return find_job(job)(**arguments, report=report)


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    home = tmp_path_factory.mktemp("gears")
    return Laboratory(home, InProcess(), NUMERICS, make_data(home), **PLAIN)


def selected(laboratory, selection):
    return open_arrays(laboratory.home, laboratory.data).under(selection)


def test_each_image_is_left_out_by_one_fold(laboratory):
    folds = split_folds(laboratory, KEEP_ALL, 3, seed=0)
    assert [fold.number for fold in folds] == [1, 2, 3]
    left_out = [set(range(NUM_TRAIN)) - set(selected(laboratory, fold.selection)[1].tolist()) for fold in folds]
    assert sorted(index for part in left_out for index in part) == list(range(NUM_TRAIN))
    assert [1 - len(part) / NUM_TRAIN for part in left_out] == pytest.approx([fold.share for fold in folds])
    assert sum(fold.samples(1000, 16) for fold in folds) <= 2 * 1000
    assert all(fold.samples(1000, 16) % 16 == 0 for fold in folds)
    assert folds == split_folds(laboratory, KEEP_ALL, 3, seed=0)


def test_folds_of_a_selection_keep_to_it_and_to_its_labels(laboratory):
    arrays, _ = selected(laboratory, KEEP_ALL)
    wanted = np.arange(0, 30)
    labels = np.where(wanted == 4, 0, AS_GIVEN)
    digest = keep_list(laboratory.store, arrays.identities[wanted], arrays.labels[wanted], labels)
    listed = Part(target="modules.selection.kept.Kept", arguments={"digest": digest})
    for fold in split_folds(laboratory, listed, 3, seed=0):
        under, kept = selected(laboratory, fold.selection)
        assert set(kept.tolist()) < set(wanted.tolist())
        assert 4 not in kept or under.labels[4] == 0


def test_networks_are_asked_about_what_they_left_out(laboratory):
    folds = split_folds(laboratory, KEEP_ALL, 3, seed=0)
    trained = []
    for fold in folds:
        recipe = tiny_recipe(selection=fold.selection)
        spec = laboratory.spec(recipe, Slice(samples=96, evaluate_every=96), 0)
        trained.append((recipe, laboratory.train(spec, lambda progress: None)))
    said = laboratory.left_out(KEEP_ALL, trained)
    assert len(said.labels) == NUM_TRAIN
    arrays, train = selected(laboratory, KEEP_ALL)
    whole = [laboratory.observe(recipe, trial, "train") for recipe, trial in trained]
    asked = [np.setdiff1d(train, selected(laboratory, fold.selection)[1]) for fold in folds]
    np.testing.assert_array_equal(said.labels, arrays.labels[np.concatenate(asked)])
    expected = np.concatenate([seen.losses[places] for seen, places in zip(whole, asked, strict=True)])
    np.testing.assert_allclose(said.losses, expected, rtol=1e-5)
    with_steer = laboratory.left_out(KEEP_ALL, trained[:1], steer=True)
    assert len(with_steer.labels) == len(asked[0]) + laboratory.data.num_images["steer"]


def test_images_that_make_no_two_folds_are_refused():
    assert filled_folds(np.array([3, 0, 3])) == [0, 3]
    with pytest.raises(DataError, match="3 training images look so much alike"):
        filled_folds(np.array([2, 2, 2]))
