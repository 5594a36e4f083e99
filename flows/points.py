"""The points of a space around a recipe: what it becomes at one, and which are tried before anything is proposed."""

from collections.abc import Mapping
from typing import Any

from flows.augmentation import own_transforms
from flows.first_network import decided_width
from flows.limits import excess_of
from flows.rates import found_rate
from flows.study import Study
from flows.translation import varied_recipe
from modules.augmentation.strength import strength_between
from modules.config import Settings, Variations
from modules.config.variations import STRENGTH
from modules.errors import ConfigError, TrainingError
from modules.recipe import Recipe
from modules.records import Part
from modules.search.first_recipe import leaves_width_open
from modules.search.prior import Lesson, value_of
from modules.space import Scalar, Space, Values

OWN = "the configuration"
_BATCH_SIZE = "training.batch_size"


def space_on_data(study: Study) -> Space | None:
    """The study's space without what does nothing here; ConfigError where nothing is left.

    That are batches larger than the training data, and the strength of transforms where there are none.
    """
    space, num_train = study.settings.search.space, study.laboratory.data.num_images["train"]
    if space is None:
        return None
    augmentation = study.settings.augmentation
    if not (augmentation.transforms or augmentation.candidates or any(_chooses_transforms(key) for key in space.keys)):
        space = space.without(STRENGTH)
        if not space.parameters:
            raise ConfigError(
                f"search.space={space.name} varies nothing but {STRENGTH}, and there is no transform; "
                "allowed is a space with more, or an augmentation"
            )
    fitting = space.up_to(_BATCH_SIZE, num_train)
    if not fitting.parameters:
        raise ConfigError(
            f"search.space={space.name} varies nothing but {_BATCH_SIZE}, and all that it offers is larger than the "
            f"training data; allowed is up to {num_train}, or all"
        )
    return fitting


def _chooses_transforms(key: str) -> bool:
    return key.split(".")[0] == "augmentation" and key != STRENGTH


def say_space(study: Study) -> None:
    """What of the study's space is left out on its data."""
    space, fitting = study.settings.search.space, space_on_data(study)
    if space is not None and fitting is not None:
        for difference in fitting.differences(space):
            num_train = study.laboratory.data.num_images["train"]
            study.progress.say(f"space {space.name}, for {num_train:,} training images: {difference}", "yellow")


class Points:
    """Of the space that varies a study's recipe."""

    def __init__(self, study: Study, space: Space, recipe: Recipe) -> None:
        self.study, self.space, self.recipe = study, space, recipe
        self.variations = Variations(study.settings.overrides)

    def recipe_at(self, values: Values) -> Recipe:
        """The recipe at a point, its rate from a range test where another optimiser comes without one.

        TrainingError where its network is beyond a limit, or does not fit the data.
        """
        try:
            settings, recipe = self._varied(values)
        except ConfigError as error:  # the space was checked without the data
            raise TrainingError(str(error)) from error
        if recipe.architecture != self.recipe.architecture:
            objection = excess_of(self.study, recipe.architecture)
            if objection is not None:
                raise TrainingError(objection)
        has_rate = "training.learning_rate" in values or settings.training.learning_rate is not None
        if has_rate or _are_alike(recipe.optimizer, self.recipe.optimizer):
            return recipe
        recipe = recipe.updated(learning_rate=settings.training.default_learning_rate)
        found = found_rate(self.study, recipe)
        return recipe if found is None else recipe.updated(learning_rate=found.picked)

    def _varied(self, values: Values) -> tuple[Settings, Recipe]:
        """The settings at a point, and the recipe with what they say of it."""
        settings, study = self.variations.settings(values), self.study
        data, width = study.laboratory.data, decided_width(study)
        return settings, varied_recipe(self.recipe, settings, values, data, own_transforms(study), width)

    def to_start_with(self, when: str) -> dict[str, list[Values]]:
        """The study's own, and what earlier studies on such data ended with; by where they come from."""
        own = self.own()
        if own is None:
            self.study.progress.say(
                f"the configuration itself lies outside the space {self.space.name}, and is not tried", "yellow"
            )
        first = {OWN: [own]} if own else {}
        for lesson in self.study.prior.winners(self.study.laboratory.data):
            point = self.of_lesson(lesson, own or {})
            if point is not None and all(point not in points for points in first.values()):
                first[f"study {lesson.study}"] = [point]
        taught = [origin.removeprefix("study ") for origin in first if origin != OWN]
        if taught:
            self.study.learnt(
                f"space {when}", f"hyper-parameters: what studies {', '.join(taught)} ended with is tried first"
            )
        return first

    def of_lesson(self, lesson: Lesson, own: Values) -> Values | None:
        """Where the recipe of an earlier study lies in the space, as `own` in what it leaves open; None: outside."""
        values = dict[str, Any]()
        for parameter in self.space.parameters:
            if parameter.condition is not None and not parameter.condition.holds(values):
                continue
            key, value = parameter.key, self._said_by(lesson.recipe, parameter.key)
            value = own.get(key) if value is None else value
            if not parameter.contains(value):
                return None
            values[key] = value
        return values

    def _said_by(self, recipe: Mapping[str, Any], key: str) -> Any:
        """What a recipe, as JSON, says of a key, of a group the name of its choice; None where it says nothing."""
        value = value_of(recipe, key)
        if value is None and key in recipe:  # a group
            names = [one for parameter in self.space.parameters if parameter.key == key for one in parameter.extremes]
            value = next((name for name in names if self._is_same(recipe[key], key, name)), None)
        return value

    def _is_same(self, theirs: Any, group: str, name: Scalar) -> bool:
        """Whether what a recipe has of a group is the part of this name."""
        ours = getattr(self.variations.settings({group: name}), group)
        if ours is None or theirs is None:
            return ours is theirs
        is_part = isinstance(ours, Part) and isinstance(theirs, dict)
        return is_part and _are_alike(ours, Part.model_validate(theirs))

    def own(self) -> Values | None:
        """Where the recipe that is varied lies itself, which a search before may have changed; None: outside."""
        recipe = self.recipe.model_dump(mode="json", exclude={"architecture"})
        said = {key: self._said_by(recipe, key) for key in self.space.keys}
        known = {key: value for key, value in said.items() if value is not None or isinstance(recipe.get(key), dict)}
        point = self.variations.point(self.space, {**known, **self._known_apart()})
        return point if point is not None and self._varied(point)[1] == self.recipe else None

    def _known_apart(self) -> Values:
        """What the recipe says in other words than the configuration."""
        recipe, known = self.recipe, dict[str, Any]()
        known["training.dropout"] = recipe.architecture.dropout if recipe.dropout is None else recipe.dropout
        transforms = own_transforms(self.study)
        if transforms:
            known[STRENGTH] = strength_between(transforms, recipe.augmentation)
        if leaves_width_open(self.study.settings.model):
            known["model.width"] = decided_width(self.study) or 1.0
        return known


def _are_alike(one: Part, other: Part) -> bool:
    """Whether parts are of one class with arguments of the same names: sgd and nesterov are of one class."""
    return one.target == other.target and set(one.arguments) == set(other.arguments)
