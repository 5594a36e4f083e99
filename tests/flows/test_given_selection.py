"""What is said and refused before a selection is trained on."""

from types import SimpleNamespace

import numpy as np
import pytest

from flows import selection
from flows.selection import find_selection
from modules.data.arrays import open_arrays
from modules.errors import ConfigError
from modules.records import Part
from modules.search.selecting.workplace import KEEP_ALL
from modules.selection.kept import keeping
from modules.store import Store
from tests.unit.tiny_study import make_data, tiny_recipe

PRUNE = Part(target="modules.search.selecting.prune.Prune")


def study_of(home, selection):
    settings = SimpleNamespace(selection=selection, objective=SimpleNamespace(margin=0.0))
    settings.finds_selection = selection == PRUNE
    said = []
    return SimpleNamespace(
        home=home,
        settings=settings,
        laboratory=SimpleNamespace(data=make_data(home)),
        progress=SimpleNamespace(say=said.append),
        decided=lambda question, decide: decide(),
        seed=lambda replicate: replicate,
        said=said,
    )


@pytest.fixture
def given(tmp_path):
    """What a study makes of a recipe with a list of the images at these places, with other identities if asked for."""

    def given(places, others=False):
        study = study_of(tmp_path, KEEP_ALL)
        arrays = open_arrays(tmp_path, study.laboratory.data)
        identities = arrays.identities[places] + np.uint64(others)
        kept = keeping(Store(tmp_path / "store"), identities, arrays.labels[places])
        recipe, study.settings.selection = tiny_recipe(selection=kept), kept
        return find_selection(study, recipe), recipe

    return given


def test_a_list_that_keeps_some_of_each_class_is_taken(given):
    taken, recipe = given([0, 1, 2])
    assert taken == recipe


@pytest.mark.parametrize(
    ("places", "others", "lost"),
    [
        ([0, 1, 2], True, "none of the training images"),  # a list of other images
        ([60, 61, 62], False, "none of the training images"),  # of steer
        ([0, 1, 3, 4, 62], False, "none of the training images of class 'none'"),
    ],
)
def test_a_list_of_other_images_is_refused(given, places, others, lost):
    with pytest.raises(ConfigError, match=rf"selection\.digest=[0-9a-f]{{32}} keeps {lost}; allowed is a selection"):
        given(places, others)


@pytest.mark.parametrize(("affordable", "share"), [(None, 1.0), (10**9, 1.0), (180, 0.5)])
def test_a_budget_for_some_of_the_epochs_is_said(tmp_path, monkeypatch, affordable, share):
    shares = []
    monkeypatch.setattr(selection, "affordable_samples", lambda *arguments: affordable)
    monkeypatch.setattr(selection, "adopt_selection", lambda study, recipe, found: recipe)
    monkeypatch.setattr(PRUNE.target + ".find", lambda self, workplace: shares.append(workplace.share))
    study = study_of(tmp_path, PRUNE)
    find_selection(study, tiny_recipe())
    assert shares == [share]  # of six epochs of 60 images
    note = "note: a quarter of the budget pays for 50% of the epochs that selection=prune asks for; no more are trained"
    assert study.said == ([note] if share < 1 else [])
