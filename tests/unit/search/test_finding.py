"""The order of trainings and looks, with a laboratory that makes its figures up."""

from types import SimpleNamespace

import pytest
from random_networks import recipe_of
from tiny_study import NUMERICS, make_data

from modules.architecture.start import first_architecture
from modules.digests import digest_of
from modules.records import Part
from modules.search.augmentation import Confusion, Effort, Looks, Seen
from modules.search.finding import Finder
from modules.training.spec import TrialSpec

RECIPE = recipe_of(first_architecture((1, 8, 8), 3, 100, (0.2,), (0.3,))).updated(
    selection=Part(target="modules.selection.keep_all.KeepAll")
)
EFFORT = Effort(brief_samples=900, slice_samples=100, images=50)


def part(name, **arguments):
    return Part(target=f"modules.augmentation.{name.lower()}.{name}", arguments=arguments)


FLIP = part("Flip", probability=0.5, direction="horizontal")
WEAK, STRONG = part("Rotate", max_degrees=5.0), part("Rotate", max_degrees=20.0)
SHIFT, NOISE = part("Shift", max_pixels=2.0), part("Noise", max_std=0.1)
TRANSFORMS = [FLIP, WEAK, STRONG, SHIFT, NOISE]
COSTS = {"Flip": 9.0, 5.0: 0.1, 20.0: 0.7, "Shift": 0.6, "Noise": 0.5}
GAINS = {"Flip": 0.9, 5.0: 0.3, 20.0: 0.2, "Shift": 0.4, "Noise": 0.1}


def figure(table, transform):
    return table[transform.arguments.get("max_degrees", transform.name)]


class Laboratory:
    """Costs add up; flips are taken for another class."""

    def __init__(self, home):
        self.home, self.data = home, make_data(home)
        self.looked = []

    def spec(self, recipe, piece, seed, start=None):
        return TrialSpec(recipe=recipe, slice=piece, seed=seed, data=self.data, numerics=NUMERICS, start=start)

    def look_through(self, recipe, trial, policies, on, num_images):
        assert num_images == EFFORT.images
        self.looked.append((trial.key, on, len(policies)))
        return Looks(plain=self._seen([]), seen=tuple(map(self._seen, policies)))

    def _seen(self, policy):
        broken = any(transform.name == "Flip" for transform in policy)
        confusion = Confusion(of=0, taken_for=1, rise=0.5, images=50, surely=0.3 if broken else 0.0)
        cost = sum(figure(COSTS, transform) for transform in policy)
        return Seen(loss=100.0 * (1 + cost), error=0.1, change=0.1 if policy else 0.0, confusion=confusion)

    def pictures_of(self, policies):
        return ["plain", *(f"{policy[0].name} strip" for policy in policies)]


@pytest.fixture
def done(tmp_path):
    laboratory, trained = Laboratory(tmp_path), []

    def train(spec, role):
        trained.append((role, spec))
        gain = sum(figure(GAINS, one) for one in spec.recipe.augmentation) if len(spec.recipe.augmentation) == 1 else 0
        key = digest_of([role, spec.seed])
        loss = 100.0 * (1 - gain) + spec.seed / 1000
        return SimpleNamespace(key=key, state_sha256="s" * 64, samples=spec.slice.samples, steer_loss=loss)

    return Finder(laboratory, EFFORT, (0, 1000), train).find(RECIPE, TRANSFORMS), trained, laboratory


def test_it_trains_briefly_learns_of_all_and_tries_what_is_left(done):
    _, trained, _ = done
    roles = [role.removeprefix("augmentation: ") for role, _ in trained]
    assert roles == ["brief", "all candidates", "control", "control", "Rotate", "Shift", "Noise"]
    specs = [spec for _, spec in trained]
    assert [spec.slice.samples for spec in specs] == [900, 900, 100, 100, 100, 100, 100]
    assert [spec.slice.first_sample for spec in specs] == [0, *[900] * 6]
    assert [spec.seed for spec in specs] == [0, 0, 0, 1000, 0, 0, 0]
    assert specs[0].start is None
    assert {spec.start.key for spec in specs[1:]} == {digest_of(["augmentation: brief", 0])}
    assert specs[1].recipe.augmentation == tuple(TRANSFORMS)
    assert specs[1].recipe.augmentation_mode == "one"
    assert [spec.recipe.augmentation for spec in specs[2:]] == [(), (), (STRONG,), (SHIFT,), (NOISE,)]
    assert {spec.recipe.selection.name for spec in specs} == {"RandomFraction"}


def test_looks_are_before_and_after_it_has_learnt(done):
    _, _, laboratory = done
    fresh, learnt = (digest_of([f"augmentation: {role}", 0]) for role in ("brief", "all candidates"))
    assert laboratory.looked[:3] == [(fresh, "steer", 5), (learnt, "steer", 5), (learnt, "train", 5)]
    assert set(laboratory.looked[3:]) == {(learnt, "steer", 1)}


def test_the_best_are_kept_while_the_policy_is_not_too_strong(done):
    found, _, _ = done
    flip, weak, strong, shift, noise = found.candidates
    assert found.transforms == (STRONG, SHIFT)  # in the order of the candidates; noise would be too much
    assert found.cost == pytest.approx(1.3, rel=1e-3)
    assert shift.why == "training with it lowers the loss on steer by 40.0%"
    assert (strong.kept, shift.kept, noise.kept) == (True, True, False)
    assert noise.why == "with it the whole policy would be too strong: 180% (at most 150%)"
    assert "breaks the meaning of a label" in flip.why
    assert flip.gain is weak.gain is None
    assert noise.gain == pytest.approx(0.1, abs=1e-3)


def test_everything_is_on_record(done):
    found, trained, _ = done
    assert found.samples == sum(spec.slice.samples for _, spec in trained)
    assert found.unchanged == "plain"
    assert [one.picture for one in found.candidates] == [f"{one.name} strip" for one in TRANSFORMS]
    assert 0 < found.noise < 0.01
    assert type(found).model_validate_json(found.model_dump_json()) == found
