"""What holds for every edit at every site of any architecture."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from applying import applied, network_of, part_of
from hypothesis import HealthCheck, Phase, assume, given, note, seed, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from random_networks import architectures, random_images, random_state, random_weights
from torch.nn import functional as F

from modules.architecture.description import Architecture
from modules.architecture.module import build_module
from modules.architecture.start import first_architecture
from modules.deployment.inference import ExportedModel
from modules.deployment.onnx_export import export_onnx
from modules.edits.add_layer import AddLayer
from modules.edits.add_skip import AddSkip
from modules.edits.changes import TensorChange
from modules.edits.editing import AppliedEdit, apply_edit, replayed
from modules.edits.recipe_edit import RecipeEdit
from modules.edits.replace_layer import ReplaceLayer
from modules.edits.widen_layer import WidenLayer
from modules.parts import CONF, resolve

EDITS = tuple(
    edit
    for path in sorted((CONF / "edit").glob("*.yaml"))
    if (match := re.search(r"^_target_: (.*)$", path.read_text(), re.MULTILINE))
    if not issubclass(edit := resolve(match[1]), RecipeEdit)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("onnx")


@settings(max_examples=60)
@given(architectures(), st.sampled_from(EDITS), st.data())
def test_every_edit_keeps_its_promises(folder, architecture, edit, data):
    sites = edit.sites(architecture)
    assume(sites)
    _check_promises(edit, architecture, data.draw(st.sampled_from(sites)), random_state(architecture), folder)


@pytest.mark.full
@pytest.mark.parametrize("part", range(10))
def test_every_edit_keeps_its_promises_at_every_site(folder, part):
    """200 architectures in ten parts."""

    @seed(part)
    @settings(max_examples=20, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(architectures())
    def check(architecture):
        state = random_state(architecture)
        for edit in EDITS:
            for site in edit.sites(architecture):
                note(f"{edit.__name__}: {site}")
                _check_promises(edit, architecture, site, state, folder)

    check()


def _check_promises(
    edit: type, architecture: Architecture, site: dict[str, Any], state: dict[str, torch.Tensor], folder: Path
) -> None:
    outcome = applied(edit, architecture, state, labels=True, **site)
    after = outcome.recipe.architecture
    _check_state(outcome.state, after)
    _check_trains(after, outcome)
    _check_exports(after, outcome, folder)
    _check_history(outcome, state)
    certificate = outcome.certificate
    assert (certificate.params_before, certificate.params_after) == (architecture.params, after.params)
    assert (certificate.flops_before, certificate.flops_after) == (architecture.flops, after.flops)
    if edit.kind == "exact":
        assert certificate.max_logit_change <= 1e-4
        _check_exact(architecture, outcome, state)


def _check_exact(architecture: Architecture, outcome: AppliedEdit, state: dict[str, torch.Tensor]) -> None:
    """On images that it was not certified on, and the raw weights too."""
    images = random_images(architecture, 7, seed=9)
    for prefix in ("ema", "model"):
        before = build_module(architecture).eval()
        start = f"{prefix}."
        before.load_state_dict({name.removeprefix(start): x for name, x in state.items() if name.startswith(start)})
        expected, found = before(images), network_of(outcome, prefix)(images)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * float(expected.detach().abs().max()))


def _check_history(outcome: AppliedEdit, state: dict[str, torch.Tensor]) -> None:
    changes = TypeAdapter(tuple[TensorChange, ...])
    history = changes.validate_python(json.loads(changes.dump_json(outcome.changes)))
    again = replayed(history, state, 3)
    assert set(again) == set(outcome.state)
    assert all(torch.equal(again[name], outcome.state[name]) for name in again)


def _check_exports(architecture: Architecture, outcome: AppliedEdit, folder: Path) -> None:
    weights = {n.removeprefix("ema."): x.numpy() for n, x in outcome.state.items() if n.startswith("ema.")}
    classes = [str(number) for number in range(architecture.num_classes)]
    export_onnx(architecture, weights, classes, folder / "model.onnx")
    channels, height, width = architecture.image_shape
    images = np.random.default_rng(0).integers(0, 256, (5, height, width, channels), dtype=np.uint8)
    with torch.no_grad():
        expected = network_of(outcome)(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255).softmax(1)
    np.testing.assert_allclose(ExportedModel(folder / "model.onnx").probabilities(images), expected, atol=1e-4)


def _check_state(state: dict[str, torch.Tensor], architecture: Architecture) -> None:
    specs = architecture.tensors()
    for prefix in ("ema", "model"):
        found = {n.removeprefix(f"{prefix}."): tuple(x.shape) for n, x in state.items() if n.startswith(f"{prefix}.")}
        assert found == {name: spec.shape for name, spec in specs.items()}
    assert all(torch.isfinite(tensor).all() for tensor in state.values())
    assert all(tensor.dtype == torch.float32 for tensor in state.values())
    for name, tensor in state.items():
        if name.startswith("optimizer."):
            _, slot, tensor_name = name.split(".", 2)
            assert specs[tensor_name].trainable
            assert tuple(tensor.shape) == (() if slot == "step" else specs[tensor_name].shape)


def _check_trains(architecture: Architecture, outcome: AppliedEdit) -> None:
    network = network_of(outcome, "model").train()
    images = random_images(architecture, 4)
    F.cross_entropy(network(images), torch.arange(4) % architecture.num_classes).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


@settings(max_examples=15)
@given(architectures(), st.lists(st.sampled_from(EDITS), min_size=2, max_size=5), st.data())
def test_edits_follow_one_another(architecture, edits, data):
    state = replay = random_state(architecture)
    for number, edit in enumerate(edits):
        sites = edit.sites(architecture)
        if sites:
            outcome = applied(edit, architecture, state, number, number % 2 == 0, **data.draw(st.sampled_from(sites)))
            certificate, before = outcome.certificate, architecture.params
            architecture, state = outcome.recipe.architecture, outcome.state
            assert (certificate.params_before, certificate.params_after) == (before, architecture.params)
            replay = replayed(outcome.changes, replay, number)
    _check_state(state, architecture)
    assert set(replay) == set(state)
    assert all(torch.equal(replay[name], state[name]) for name in state)  # the history alone leads to the same weights
    network = build_module(architecture).eval()
    network.load_state_dict({n.removeprefix("ema."): x for n, x in state.items() if n.startswith("ema.")})
    logits = network(random_images(architecture, 4))
    assert logits.shape == (4, architecture.num_classes)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("edit", EDITS)
def test_each_edit_fits_somewhere_in_a_first_architecture_that_grew(edit):
    architecture = first_architecture((1, 8, 8), 10, 1000, (0.2,), (0.3,))
    grown = applied(AddLayer, architecture, node="activation2").recipe.architecture
    assert edit.sites(grown)
    sites = {json.dumps(site, sort_keys=True) for site in edit.sites(grown)}
    assert len(sites) == len(edit.sites(grown))
    assert all(set(site) == set(edit.site_arguments) for site in edit.sites(grown))


@settings(max_examples=20)
@given(architectures(), st.sampled_from([edit for edit in EDITS if "node" in edit.site_arguments]))
def test_a_place_that_is_no_site_is_refused_in_a_sentence(architecture, edit):
    sites = [site["node"] for site in edit.sites(architecture)]
    others = {ReplaceLayer: {"by": "relu"}, AddSkip: {"source": architecture.nodes[0].name}}.get(edit, {})
    makers = {name for site in sites for name in _makers(architecture, site)}
    wanted = {"seed": 0} if "seed" in getattr(edit, "wants", ()) else {}
    for node in architecture.nodes:
        if node.name not in {*sites, *makers}:
            with pytest.raises(ValueError, match=node.name):
                edit(node=node.name, **others).apply(architecture, random_weights(architecture), **wanted)
    with pytest.raises(ValueError, match="nowhere"):
        edit(node="nowhere", **others).apply(architecture, random_weights(architecture), **wanted)


def _makers(architecture: Architecture, node: str) -> tuple[str, ...]:
    from modules.architecture.channels import channel_groups

    return next((group.makers for group in channel_groups(architecture) if node in group.makers), ())


def test_edits_with_the_same_seed_are_the_same_and_with_another_are_not():
    architecture = first_architecture((1, 8, 8), 10, 1000, (0.2,), (0.3,))
    one, same, other = (applied(WidenLayer, architecture, seed=seed, node="conv2") for seed in (1, 1, 2))
    divided = "conv3.weight"
    assert torch.equal(one.state[f"ema.{divided}"], same.state[f"ema.{divided}"])
    assert not torch.equal(one.state[f"ema.{divided}"], other.state[f"ema.{divided}"])
    assert torch.equal(one.state[f"ema.{divided}"] == 0, one.state[f"model.{divided}"] == 0)
    twice = apply_edit(part_of(WidenLayer, node="conv2"), one.recipe, one.state, 1, random_images(architecture)).state
    first, second = one.state[f"ema.{divided}"][:, 32:48] == 0, twice[f"ema.{divided}"][:, 48:64] == 0
    assert not torch.equal(first, second)
