"""A space that is searched on few images: what is larger than the data is left out before anything is trained."""

from types import SimpleNamespace
from typing import Any

import pytest

from flows.points import Points, say_space, space_on_data
from flows.translation import configured_recipe
from modules.config import resolve
from modules.errors import ConfigError, TrainingError
from modules.search.sampler import Sampler
from modules.space import Choice, Condition, Real, Space, Whole
from tests.unit.tiny_study import make_data


class Study:
    """As far as its space and its data go; `images` are those of training."""

    def __init__(self, home: Any, images: int, *overrides: str) -> None:
        made = make_data(home)
        data = made.updated(num_images={**made.num_images, "train": images})
        self.settings = resolve(["search=sweep", *overrides])
        self.laboratory = SimpleNamespace(data=data, num_selected=lambda recipe: images, latency_ms=None)
        self.policy = None
        self.said: list[str] = []
        self.progress = SimpleNamespace(say=lambda said, style="": self.said.append(said))

    @property
    def recipe(self) -> Any:
        transforms = self.settings.augmentation.transforms
        return configured_recipe(self.settings, self.laboratory.data).updated(augmentation=transforms)

    def has_decided(self, question: str) -> bool:
        return False

    def decided(self, question: str, decide: Any) -> Any:
        return decide()


@pytest.mark.parametrize("name", ["training", "images", "architecture"])
def test_a_space_that_ships_is_searched_on_a_hundred_images(tmp_path, name):
    study: Any = Study(tmp_path, 100, f"search.space={name}", "training.find_rate=false", "search.tries=1")
    space = space_on_data(study)
    assert space is not None
    points, sampler = Points(study, space, study.recipe), Sampler(space, 0)
    sizes = {points.recipe_at(sampler.ask().values).batch_size for _ in range(20)}
    assert sizes
    assert max(sizes) <= 100


@pytest.mark.parametrize(
    ("overrides", "varies"),
    [([], True), (["augmentation=none"], False), (["augmentation=auto"], True), (["augmentation=shift"], True)],
)
def test_how_strong_nothing_is_is_not_varied(tmp_path, overrides, varies):
    study: Any = Study(tmp_path, 1000, "search.space=recipe", "data=digits", *overrides)
    space = space_on_data(study)
    assert space is not None
    assert ("augmentation.strength" in space.keys) is varies
    say_space(study)
    assert len(study.said) == (not varies)
    assert all("augmentation.strength was" in said and "now it is not in it" in said for said in study.said)


def test_a_space_of_nothing_but_how_strong_nothing_is(tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text("augmentation.strength: interval(0.5, 2.0)\n")
    study: Any = Study(tmp_path, 1000, f"search.space={own}", "augmentation=none")
    with pytest.raises(ConfigError, match=r"varies nothing but augmentation.strength, and there is no transform"):
        space_on_data(study)


def test_what_is_left_out_is_said_once_in_a_sentence(tmp_path):
    study: Any = Study(tmp_path, 100, "search.space=training")
    say_space(study)
    assert study.said == [
        "space training, for 100 training images: training.batch_size was one of 32, 64, 128, 256, now it is one of "
        "32, 64"
    ]
    many: Any = Study(tmp_path, 256, "search.space=training")
    say_space(many)
    assert many.said == []
    assert space_on_data(many) == many.settings.search.space


def test_a_space_of_nothing_that_fits_is_refused_before_anything_is_trained(tmp_path, written):
    study: Any = Study(tmp_path, 100, written("training.batch_size: choice(128, 256)"))
    with pytest.raises(ConfigError) as caught:
        say_space(study)
    assert str(caught.value) == (
        "search.space=mine varies nothing but training.batch_size, and all that it offers is larger than the training "
        "data; allowed is up to 100, or all"
    )


def test_a_study_without_a_space_has_nothing_to_say(tmp_path):
    study: Any = SimpleNamespace(settings=resolve([]), laboratory=SimpleNamespace(data=make_data(tmp_path)))
    say_space(study)
    assert space_on_data(study) is None


def test_a_point_whose_network_does_not_fit_the_images_fails_alone(tmp_path, written, monkeypatch):
    def refuse(*arguments: Any) -> Any:
        raise ConfigError("model=vgg does not fit images of 1 x 8 x 8")

    study: Any = Study(tmp_path, 100, written("model: choice(auto, vgg)"))
    points = Points(study, study.settings.search.space, study.recipe)
    monkeypatch.setattr("flows.translation.model_of", refuse)
    with pytest.raises(TrainingError, match="does not fit images"):
        points.recipe_at({"model": "vgg"})


SIZES = "training.batch_size"


@pytest.mark.parametrize(
    ("parameter", "bounded"),
    [
        (Choice(key=SIZES, values=(32, 512, "all")), Choice(key=SIZES, values=(32, "all"))),
        (Choice(key=SIZES, values=(512, "all")), Choice(key=SIZES, values=("all",))),
        (Choice(key=SIZES, values=(512, 1024)), None),
        (Whole(key=SIZES, low=16, high=512, log=True), Whole(key=SIZES, low=16, high=300, log=True)),
        (Whole(key=SIZES, low=16, high=496, step=48), Whole(key=SIZES, low=16, high=256, step=48)),
        (Whole(key=SIZES, low=16, high=300), Whole(key=SIZES, low=16, high=300)),
        (Whole(key=SIZES, low=301, high=400), None),
        (Real(key="x", low=0.0, high=1000.0), Real(key="x", low=0.0, high=1000.0)),
    ],
)
def test_what_is_left_of_a_parameter(parameter, bounded):
    left = Space(name="s", parameters=(parameter,)).up_to(SIZES, 300)
    assert left.parameters == (() if bounded is None else (bounded,))


def test_what_only_applies_with_what_was_left_out_goes_as_well():
    sizes = Choice(key=SIZES, values=(32, 64, 512))
    few, many, some = (
        Real(key=key, low=0.0, high=1.0, condition=Condition(key=SIZES, values=values))
        for key, values in (("few", (32,)), ("many", (512,)), ("some", (64, 512)))
    )
    space = Space(name="s", parameters=(sizes, few, many, some)).up_to(SIZES, 300)
    assert space.keys == (SIZES, "few", "some")
    assert space.parameters[-1].condition == Condition(key=SIZES, values=(64,))
