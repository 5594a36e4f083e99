"""A point of a space as what is trained: within the limits, at a rate of its own, from what the study began with."""

from types import SimpleNamespace
from typing import Any

import pytest

from flows.contests import race_wishes, with_optimizer
from flows.limits import check_limits
from flows.translation import configured_recipe, configured_wishes
from flows.tuning import Search
from modules.augmentation.strength import strengthened
from modules.config import resolve
from modules.errors import ConfigError, TrainingError
from modules.records import RangeTest
from modules.search.first_recipe import model_of
from modules.search.rungs import constant, rungs_of
from modules.search.sampler import Sampler
from modules.training.spec import RANGE_TEST_UPDATES
from tests.unit.tiny_study import make_data

PICKED, NUM_TRAIN = 0.0123, 2000


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    made = make_data(tmp_path_factory.mktemp("points"))
    return made.updated(num_images={**made.num_images, "train": NUM_TRAIN})  # as many as batches of 64 want


class Study:
    """As far as a point of its space goes; a range test picks one rate."""

    def __init__(self, data: Any, *overrides: str) -> None:
        self.settings = resolve(overrides)
        self.decisions: dict[str, Any] = {}
        self.tested: list[float] = []
        self.policy = None
        self.prior = SimpleNamespace(winners=lambda data: ())
        self.said: list[str] = []
        self.progress = SimpleNamespace(say=lambda said, style="": self.said.append(said))
        self.laboratory = SimpleNamespace(
            data=data,
            latency_ms=lambda architecture: 1.0,
            num_selected=lambda recipe: NUM_TRAIN,
            find_rate=self.find_rate,
        )

    @property
    def recipe(self):
        transforms = self.settings.augmentation.transforms
        return configured_recipe(self.settings, self.laboratory.data).updated(augmentation=transforms)

    def find_rate(self, recipe, seed):
        self.tested.append(recipe.learning_rate)
        return RangeTest(rates=(), losses=(), picked=PICKED)

    def has_decided(self, question):
        return question in self.decisions

    def decided(self, question, decide):
        return self.decisions.setdefault(question, decide())

    def learnt(self, what, sentence):
        self.said.append(sentence)


def search_of(study: Study, when: Any = "sweep", recipe: Any = None) -> Search:
    return Search(study, when, study.settings.search.space, recipe or study.recipe, rungs_of(900, 3))  # type: ignore[arg-type]


SWEEP = ("search=sweep", "search.space=architecture")


def test_a_point_beyond_a_limit_is_not_trained(data):
    study = Study(data, *SWEEP)
    search, params = search_of(study), study.recipe.architecture.params
    limited = search_of(Study(data, *SWEEP, f"objective.max_params={params}"))
    for width in (0.5, 1.0):
        assert limited.points.recipe_at({"model.width": width}).architecture.params <= params
    assert search.points.recipe_at({"model.width": 2.0}).architecture.params > params
    with pytest.raises(TrainingError, match=rf"above objective\.max_params={params:,}"):
        limited.points.recipe_at({"model.width": 2.0})


def test_a_study_whose_first_network_has_to_shrink_can_still_be_tuned(data):
    study = Study(data, "search.space=recipe", "objective.max_params=10")
    assert search_of(study, "before").points.recipe_at({"training.label_smoothing": 0.1}).label_smoothing == 0.1


@pytest.mark.parametrize("search", [("search=none",), SWEEP])
def test_where_nothing_shrinks_a_first_network_beyond_a_limit_is_refused(data, search):
    study = Study(data, *search, "objective.max_params=10")
    with pytest.raises(ConfigError, match=r"above objective\.max_params=10"):
        check_limits(study, study.recipe.architecture)
    shrinking = Study(data, "objective.max_params=60")
    check_limits(shrinking, shrinking.recipe.architecture)
    assert "it has to shrink first" in shrinking.said[0]


def test_a_model_without_a_width_has_that_which_was_decided(data, written):
    study = Study(data, "search=sweep", written("model: choice(auto, residual)"))
    study.decisions["width of the first network"] = 0.5
    half = study.recipe.updated(architecture=model_of(study.settings.model, data, 0.5))
    search = search_of(study, recipe=half)
    assert search.points.recipe_at({"model": "auto"}) == half
    assert search.points.own() == {"model": "auto"}
    residual = resolve(["model=residual"]).model
    assert search.points.recipe_at({"model": "residual"}).architecture == model_of(residual, data, 0.5)


def test_a_space_of_networks_has_the_first_one_among_them(data):
    study = Study(data, *SWEEP, "averaging=none")
    search = search_of(study)
    own = search.points.own()
    assert own is not None
    assert (own["model"], own["model.width"]) == ("auto", 1.0)
    assert search.points.recipe_at(own) == study.recipe


def test_the_own_point_is_what_a_search_before_has_found(data):
    study = Study(data, "search.space=recipe")
    found = {
        "optimizer": "muon",
        "training.batch_size": 32,
        "training.label_smoothing": 0.1,
        "training.dropout": 0.3,
        "augmentation.strength": 1.5,
        "training.learning_rate": 0.05,
        "optimizer.weight_decay": 0.5,
    }
    control = search_of(study, "before").points.recipe_at(found).updated(schedule=constant())
    after = search_of(study, "after", control)
    assert after.points.own() == found
    assert after.points.recipe_at(found) == control


def test_a_recipe_that_the_space_cannot_name_lies_outside_it(data):
    study = Study(data, "search.space=recipe")
    other = study.recipe.updated(optimizer=resolve(["optimizer=rmsprop"]).optimizer)
    assert search_of(study, "after", other).points.own() is None


def test_mixing_and_selection_of_the_own_point_are_the_recipes(data):
    study = Study(data, "search.space=images")
    mixed = {"augmentation.strength": 1.0, "mixing": "cutmix", "selection": "none", "training.batch_size": 32}
    control = search_of(study, "before").points.recipe_at(mixed)
    assert search_of(study, "after", control).points.own() == mixed
    assert search_of(study, "after").points.own()["mixing"] == "none"  # type: ignore[index]


def test_a_second_strength_is_times_that_of_the_yamls_and_brings_back_what_was_left_out(data):
    study = Study(data, "search.space=images", "augmentation=[shift,rotate]")
    before, first = search_of(study, "before"), study.recipe.augmentation
    stronger, without = (before.points.recipe_at({"augmentation.strength": strength}) for strength in (1.5, 0.0))
    assert without.augmentation == ()
    for control in (stronger, without):
        after = search_of(study, "after", control)
        assert after.points.recipe_at({"augmentation.strength": 1.5}).augmentation == strengthened(first, 1.5)
        own = after.points.own()
        assert own is not None
        assert own["augmentation.strength"] == (1.5 if control is stronger else 0.0)


def test_the_searches_before_and_after_ask_different_points(data):
    study = Study(data, "search.space=recipe")
    space = study.settings.search.space
    assert space is not None
    asked = {when: search_of(study, when).sampler(space, []).ask().values for when in ("sweep", "before", "after")}
    assert len({str(values) for values in asked.values()}) == 3
    assert asked["sweep"] == Sampler(space, study.settings.seed, 3).ask().values


def test_an_optimiser_of_the_same_class_has_a_rate_of_its_own(data, written):
    study = Study(data, "search=sweep", written("optimizer: choice(sgd, nesterov)"))
    nesterov = study.recipe.updated(optimizer=resolve(["optimizer=nesterov"]).optimizer, learning_rate=0.07)
    search = search_of(study, recipe=nesterov)
    assert search.points.recipe_at({"optimizer": "nesterov"}) == nesterov
    sgd = search.points.recipe_at({"optimizer": "sgd"})
    assert (sgd.optimizer.arguments.keys(), sgd.learning_rate) == ({"weight_decay"}, PICKED)
    assert study.tested == [0.1]


def test_a_rate_is_not_looked_for_where_that_would_take_longer_than_a_training(data, written):
    study = Study(data, "search=sweep", written("optimizer: choice(adamw, sgd)"))
    whole = study.recipe.updated(batch_size=NUM_TRAIN)
    assert search_of(study, recipe=whole).points.recipe_at({"optimizer": "sgd"}).learning_rate == 0.1
    (choice,) = resolve(["search.optimizers=sgd"]).search.optimizers
    assert with_optimizer(study, whole, choice).learning_rate == 0.1
    assert study.tested == []


def test_the_range_tests_of_a_race_are_a_part_of_the_plan(data):
    study = Study(data, "search.optimizers=[adamw,sgd,muon]")
    wishes = race_wishes(study, configured_wishes(study.settings), study.recipe)
    assert (wishes.races, wishes.range_test_samples) == (2, 2 * RANGE_TEST_UPDATES * study.recipe.batch_size)
    whole = study.recipe.updated(batch_size=NUM_TRAIN)
    assert race_wishes(study, configured_wishes(study.settings), whole).range_test_samples == 0
    assert race_wishes(study, configured_wishes(resolve([])), whole).races == 0
