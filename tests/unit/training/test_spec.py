import subprocess
import sys

import pytest
from tiny_study import ADAMW, schedule, tiny_architecture, tiny_recipe, tiny_spec

from modules.recipe import Distillation
from modules.records import Part
from modules.training import spec as spec_module
from modules.training.spec import Start, TrialSpec

DISTILLATION = Distillation(teacher="e" * 32, weights_sha256="f" * 64, weight=0.5, temperature=2.0)
START = Start(kind="trials", key="a" * 32, state_sha256="b" * 64)


def recipe_changes():
    return {
        "architecture": tiny_architecture(dropout=0.1),
        "initialisation": Part(target="modules.architecture.initialisation.xavier.Xavier"),
        "optimizer": ADAMW.updated(arguments={"weight_decay": 0.02}),
        "schedule": schedule("Linear"),
        "learning_rate": 0.02,
        "batch_size": 8,
        "batching": Part(target="modules.training.batching.plateau.Plateau"),
        "mixing": Part(target="modules.augmentation.mixing.mixup.Mixup"),
        "augmentation": (),
        "augmentation_mode": "one",
        "augmentation_copies": 2,
        "selection": Part(target="modules.selection.random_fraction.RandomFraction"),
        "balance": Part(target="modules.selection.balance.class_weights.ClassWeights"),
        "label_smoothing": 0.0,
        "dropout": 0.2,
        "averaging": Part(target="modules.training.averages.none.NoAverage"),
        "gradient_clip": 1.0,
        "frozen_until": tiny_architecture().cuts()[0],
        "frozen_statistics": True,
        "first_layer_rate": 0.1,
        "distillation": DISTILLATION,
    }


TARGETS = {"target_loss": 0.1, "target_error": 0.01, "max_retreats": 1}


def slice_changes():
    return {"samples": 320, "evaluate_every": 40, "first_sample": 160, "patience": 2, **TARGETS}


def numerics_changes():
    return {
        "torch": "2.0",
        "cpu_capability": "AVX2",
        "threads": 2,
        "precision": "bfloat16",
        "channels_last": False,
        "device": "cuda",
        "devices": 2,
        "strategy": "ddp",
    }


def other_specs(spec: TrialSpec) -> dict[str, TrialSpec]:
    recipes = {f"recipe.{name}": spec.recipe.updated(**{name: value}) for name, value in recipe_changes().items()}
    slices = {f"slice.{name}": spec.slice.updated(**{name: value}) for name, value in slice_changes().items()}
    numerics = {
        f"numerics.{name}": spec.numerics.updated(**{name: value}) for name, value in numerics_changes().items()
    }
    return {
        **{name: spec.updated(recipe=value) for name, value in recipes.items()},
        **{name: spec.updated(slice=value) for name, value in slices.items()},
        **{name: spec.updated(numerics=value) for name, value in numerics.items()},
        "seed": spec.updated(seed=1),
        "data.digest": spec.updated(data=spec.data.updated(digest="c" * 32)),
        "most_at_once": spec.updated(most_at_once=4),
        "start": spec.updated(start=START),
        "start.state": spec.updated(start=START.updated(state_sha256="d" * 64)),
    }


def test_every_ingredient_changes_the_key(data):
    spec = tiny_spec(data)
    others = other_specs(spec)
    keys = {name: other.key for name, other in others.items()}
    assert len({spec.key, *keys.values()}) == len(keys) + 1


def test_no_ingredient_was_forgotten_above(data):
    spec = tiny_spec(data)
    assert recipe_changes().keys() == type(spec.recipe).model_fields.keys()
    assert slice_changes().keys() == type(spec.slice).model_fields.keys()
    assert numerics_changes().keys() == type(spec.numerics).model_fields.keys()


def test_names_and_places_change_nothing(data):
    spec = tiny_spec(data).updated(start=START)
    moved = data.updated(folder="somewhere/else", name="other", notes=("a note",))
    renamed = START.updated(kind="edits", key="e" * 32)
    assert spec.updated(data=moved, start=renamed).key == spec.key


def test_a_key_survives_json(data):
    spec = tiny_spec(data).updated(start=START)
    assert TrialSpec.model_validate_json(spec.model_dump_json()).key == spec.key


PARTS = (
    "modules.architecture.initialisation.kaiming",
    "modules.augmentation.shift",
    "modules.selection.keep_all",
    "modules.training.schedules.constant",
)


CORE = (
    "modules.randomness",
    "modules.architecture.module",
    "modules.augmentation.policy",
    "modules.evaluation.observing",
    "modules.training.batches",
    "modules.training.module",
    "modules.training.noise_scale",
    "modules.training.optimizer",
    "modules.training.training",
    "modules.training.warmup",
    "modules.training.callbacks.learning_rate_decay",
    "modules.training.callbacks.weight_average",
)


def with_raised(monkeypatch, module: str) -> None:
    real = spec_module.revisions_of

    def raised(*modules):
        return {name: revision + (name == module) for name, revision in real(*modules).items()}

    monkeypatch.setattr(spec_module, "revisions_of", raised)


@pytest.mark.parametrize("module", [*CORE, *PARTS])
def test_every_revision_changes_the_key(data, monkeypatch, module):
    spec = tiny_spec(data)
    before = spec.key
    with_raised(monkeypatch, module)
    assert spec.key != before


def test_the_revision_of_a_part_that_is_not_used_changes_nothing(data, monkeypatch):
    spec = tiny_spec(data)
    before = spec.key
    with_raised(monkeypatch, "modules.training.schedules.linear")
    assert spec.key == before
    assert spec.updated(recipe=tiny_recipe(schedule=schedule("Linear"))).key != before


def test_a_fixed_batch_does_not_depend_on_how_others_grow(data, monkeypatch):
    fixed = tiny_spec(data)
    growing = fixed.updated(recipe=tiny_recipe(batching=Part(target="modules.training.batching.plateau.Plateau")))
    before = (fixed.key, growing.key)
    with_raised(monkeypatch, "modules.training.batching.growth")
    assert fixed.key == before[0]
    assert growing.key != before[1]


def test_a_key_is_computed_without_torch():
    code = "import modules.training.spec, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_trial_is_found_in_the_pieces_that_its_key_speaks_of(data):
    spec = tiny_spec(data).updated(recipe=tiny_recipe().updated(batch_size=32))
    assert spec.in_pieces_of(spec.key) == spec
    pieces = spec.updated(most_at_once=8)
    assert spec.in_pieces_of(pieces.key) == pieces
    assert spec.in_pieces_of("of another machine") == spec
