"""Children: an edit of a stored trial, as the laboratory asks for it, and their training from what they inherit."""

import numpy as np
import pytest
import torch
from tiny_study import make_data, tiny_recipe, tiny_spec

from modules.architecture.channels import group_made_by
from modules.data.arrays import open_arrays
from modules.edits.effects import first_order_effects
from modules.edits.narrow_layer import worth_to_loss
from modules.recipe import Recipe
from modules.records import Part
from modules.store import Store
from modules.training.inheritance import certified_images, inherit
from modules.training.spec import Start
from modules.training.states import progress_of, read_state
from modules.training.training import network_of
from modules.training.trial import run_trial

EDITS = [
    ("add_block.AddBlock", {"node": "act1"}),
    ("deepen_layer.DeepenLayer", {"node": "act1"}),
    ("raise_kernel.RaiseKernel", {"node": "conv1"}),
    ("lower_kernel.LowerKernel", {"node": "conv1"}),
    ("narrow_layer.NarrowLayer", {"node": "conv1", "factor": 0.5}),
    ("replace_layer.ReplaceLayer", {"node": "norm1", "by": "group_norm"}),
    ("replace_layer.ReplaceLayer", {"node": "norm1", "by": "bias"}),
    ("placebo_branch.PlaceboBranch", {"node": "act1"}),
    ("placebo_permute.PlaceboPermute", {"node": "conv1"}),
]
GROWING = tiny_recipe(
    batching=Part(target="modules.training.batching.plateau.Plateau", arguments={"patience": 0, "threshold": 0.9})
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def data(home):
    return make_data(home)


@pytest.fixture(scope="module")
def parent(home, data):
    return run_trial(tiny_spec(data), home, lambda progress: None)


def inherited(home, data, parent, target, arguments, recipe=None):
    return inherit(
        edit=Part(target=f"modules.edits.{target}", arguments=arguments).model_dump(mode="json"),
        recipe=(recipe or tiny_recipe()).model_dump(mode="json"),
        trial=parent.key,
        seed=1,
        data=data.model_dump(mode="json"),
        key=f"{target}-{'-'.join(map(str, arguments.values()))}",
        home=str(home),
        report=lambda progress: None,
    )


@pytest.mark.parametrize(("target", "arguments"), EDITS)
def test_a_child_trains_from_what_it_inherits(home, data, parent, target, arguments):
    record = inherited(home, data, parent, target, arguments)
    key = f"{target}-{'-'.join(map(str, arguments.values()))}"
    start = Start(kind="edits", key=key, state_sha256=record["state_sha256"])
    spec = tiny_spec(data, 240, first_sample=160).updated(recipe=Recipe.model_validate(record["recipe"]), start=start)
    result = run_trial(spec, home, lambda progress: None)
    assert result.params == record["certificate"]["params_after"]
    assert np.isfinite(result.steer_loss)


@pytest.mark.parametrize(
    ("target", "arguments", "sizes"),
    [
        ("deepen_layer.DeepenLayer", {"node": "act1"}, [32, 60]),  # an epoch has 60 images
        ("change_recipe.ChangeRecipe", {"changes": {"batch_size": 8}}, [16, 32]),
    ],
)
def test_a_child_inherits_how_far_the_batch_has_grown(tmp_path, target, arguments, sizes):
    """At the second look, which was no better than the first by nine tenths of it, and at each that follows."""
    home, data = tmp_path, make_data(tmp_path)
    parent = run_trial(tiny_spec(data).updated(recipe=GROWING), home, lambda progress: None)
    assert [point.batch_size for point in parent.curve] == [16, 16]
    record = inherited(home, data, parent, target, arguments, GROWING)
    key = f"{target}-{'-'.join(map(str, arguments.values()))}"
    state = read_state(Store(home / "store").folder("edits", key) / "state.safetensors")
    assert progress_of(state).steer_losses == tuple(point.steer_loss for point in parent.curve)
    start = Start(kind="edits", key=key, state_sha256=record["state_sha256"])
    spec = tiny_spec(data, first_sample=160).updated(recipe=Recipe.model_validate(record["recipe"]), start=start)
    child = run_trial(spec, home, lambda progress: None)
    assert [point.batch_size for point in child.curve] == sizes


def test_narrowing_asks_what_the_loss_of_the_certified_images_depends_on(home, data, parent):
    record = inherited(home, data, parent, "narrow_layer.NarrowLayer", {"node": "conv1", "factor": 0.5})
    images, labels = certified_images(home, data)
    arrays = open_arrays(home, data)
    train = arrays.indices("train")
    assert sorted(labels.tolist()) == sorted(arrays.labels[train].tolist())  # there are fewer than are certified on
    spec = tiny_spec(data)
    before = read_state(Store(home / "store").folder("trials", parent.key) / "state.safetensors")
    effects = first_order_effects(network_of(spec, before, "ema").eval(), images, labels)
    worth = worth_to_loss(group_made_by(spec.recipe.architecture, "conv1"), effects)
    kept = np.sort(np.argsort(-worth)[:3])
    after = read_state(
        Store(home / "store").folder("edits", "narrow_layer.NarrowLayer-conv1-0.5") / "state.safetensors"
    )
    assert record["description"] == "narrow conv1 from 6 to 3 channels"
    assert torch.equal(after["ema.conv1.weight"], before["ema.conv1.weight"][kept])


def test_an_edit_that_does_not_fit_is_refused_with_its_reason(home, data, parent):
    record = inherited(home, data, parent, "deepen_layer.DeepenLayer", {"node": "conv1"})
    assert record["refused"] == "a layer on the path is added behind a ReLU, and 'conv1' is none; there are: act1"
