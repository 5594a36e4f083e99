"""On images whose class a mark gives away, the methods point at it; with random weights they do not."""

import sys

import numpy as np
import pytest
import torch
from shortcut import ARCHITECTURE, CORNER, MARK, SIDE, shortcut

from modules.architecture.description import IMAGE, Architecture
from modules.architecture.nodes import Dense, GlobalPool
from modules.config import resolve
from modules.explanation.attribution import NoMapError, question_of
from modules.explanation.checking import ask_all
from modules.explanation.focus import find_focus, shares
from modules.explanation.methods.grad_cam import GradCam, last_places
from modules.explanation.methods.integrated_gradients import IntegratedGradients
from modules.explanation.methods.occlusion import Occlusion
from modules.explanation.sanity import randomised
from modules.extras import install_command
from modules.parts import build

METHODS = {name: build(part) for name, part in resolve([]).explanation.methods}
LEAST = {"integrated_gradients": 0.4, "occlusion": 0.5, "grad_cam": 0.3}  # of what lies on 6 % of the image
AREA = MARK**2 / SIDE**2


def in_corner(maps: np.ndarray) -> float:
    """The share of what speaks for the class that lies on the mark."""
    return float(shares(maps)[:, *CORNER].sum(axis=(1, 2)).mean())


@pytest.mark.parametrize("name", METHODS)
def test_methods_point_at_a_planted_shortcut(name):
    found = shortcut()
    maps = METHODS[name](found.network, found.question)
    assert maps.shape == (16, SIDE, SIDE)
    assert in_corner(maps) > LEAST[name] > 4 * AREA


@pytest.mark.parametrize("name", METHODS)
def test_with_random_weights_they_do_not(name):
    found = shortcut()
    shared = [in_corner(METHODS[name](randomised(ARCHITECTURE, seed), found.question)) for seed in range(3)]
    assert np.mean(shared) < 0.22


def test_all_pass_their_checks_and_the_mark_is_said_to_be_suspicious():
    found = shortcut()
    answers = ask_all(found.network, METHODS, found.question)
    assert [answer.figures.shown for answer in answers.values()] == [True] * 3
    for name, answer in answers.items():
        assert answer.maps is not None
        assert answer.figures.verdict.startswith("passed: taking out what it points at hurts more")
        (focus,) = find_focus(name, answer.maps, found.labels, ("lying", "standing"))
        assert focus.suspicious
        assert focus.place == "its top left corner"
        assert focus.sentence.endswith("is there a mark that gives the class away?")


def test_integrated_gradients_add_up_to_the_difference_of_the_logits():
    found = shortcut()
    maps = IntegratedGradients(steps=300)(found.network, found.question)
    with torch.inference_mode():
        logits = [found.network(batch) for batch in (found.question.images, found.question.plain)]
    places = torch.arange(len(maps)), found.question.classes
    expected = (logits[0][places] - logits[1][places]).numpy()
    assert maps.sum(axis=(1, 2)) == pytest.approx(expected, rel=0.02, abs=0.05)


def test_occlusion_is_what_a_covered_patch_costs():
    found = shortcut()
    one = found.question._replace(images=found.question.images[:1], classes=found.question.classes[:1])
    maps = Occlusion(patch=0.999)(found.network, one)  # one patch: the whole image
    with torch.inference_mode():
        cost = (found.network(one.images) - found.network(one.plain))[0, one.classes[0]].item()
    assert maps == pytest.approx(np.full_like(maps, cost), rel=1e-4)


def test_grad_cam_looks_at_the_last_layer_that_has_places():
    assert last_places(ARCHITECTURE) == "conv2"
    flat = Architecture(
        image_shape=(1, 4, 4),
        num_classes=2,
        nodes=(
            GlobalPool(name="pool1", inputs=(IMAGE,)),
            Dense(name="dense1", inputs=("pool1",), units=2),
        ),
    )
    images = np.zeros((2, 4, 4, 1), dtype=np.uint8)
    question = question_of(images, np.zeros(2, dtype=np.int64), (0.5,))
    network = randomised(flat, 0)
    with pytest.raises(NoMapError, match="no layer of the network"):
        GradCam()(network, question)
    (answer,) = ask_all(network, {"grad_cam": GradCam()}, question).values()
    assert answer.maps is None
    assert answer.figures.verdict.startswith("not shown: no layer of the network")


def test_without_captum_every_method_names_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    monkeypatch.setitem(sys.modules, "captum", None)
    found = shortcut()
    for answer in ask_all(found.network, METHODS, found.question).values():
        assert answer.maps is None
        assert answer.figures.verdict == (
            "not shown: explanations need Captum, which is not installed here: " + install_command("explain")
        )
