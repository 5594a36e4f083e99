"""The checks against methods that are known to be bad, and curves that are known by hand."""

import numpy as np
import pytest
import torch
from shortcut import ARCHITECTURE, CORNER, SIDE, shortcut

from modules.explanation.attribution import Maps, Question
from modules.explanation.checking import ask_all
from modules.explanation.deletion import STEPS, deletion_areas, deletion_check, deletion_curves
from modules.explanation.sanity import mean_similarity, sanity_check


def brightness(network: torch.nn.Module, question: Question) -> Maps:
    """Shows the image and knows nothing of the network."""
    return question.images[:, 0].numpy()


def bottom_rows(network: torch.nn.Module, question: Question) -> Maps:
    """Points at where nothing is, differently for each network."""
    weight = next(network.parameters()).flatten()[:SIDE].detach().numpy()
    maps = np.zeros((len(question.images), SIDE, SIDE), dtype=np.float32)
    maps[:, -2:] = 1.0 + weight - weight.min()
    return maps


def test_a_method_that_shows_the_image_is_found_out():
    found = shortcut()
    (answer,) = ask_all(found.network, {"brightness": brightness}, found.question).values()
    assert not answer.figures.shown
    assert answer.figures.similarity == pytest.approx(1.0)
    assert "its maps are much the same with random weights (rank correlation 1.00)" in answer.figures.verdict


def test_a_method_that_points_elsewhere_is_found_out():
    found = shortcut()
    (answer,) = ask_all(found.network, {"bottom": bottom_rows}, found.question).values()
    assert not answer.figures.shown
    assert "taking out what it points at hurts no more than other places" in answer.figures.verdict


def test_deletion_begins_with_the_image_and_ends_with_a_plain_one():
    found = shortcut()
    maps = np.zeros((16, SIDE, SIDE), dtype=np.float32)
    maps[:, *CORNER] = 1.0
    curves = deletion_curves(found.network, found.question, maps)
    assert curves.shape == (STEPS + 1, 16)
    rows = torch.arange(16), found.question.classes
    with torch.inference_mode():
        first = found.network(found.question.images).softmax(dim=1)[rows].numpy()
        last = found.network(found.question.plain).softmax(dim=1)[rows].numpy()
    assert curves[0] == pytest.approx(first, abs=1e-5)
    assert curves[-1] == pytest.approx(last, abs=1e-5)
    by_hand = (curves[:-1] + curves[1:]).sum(axis=0) / 2 / STEPS
    assert deletion_areas(found.network, found.question, maps) == pytest.approx(by_hand)
    assert deletion_check(found.network, found.question, maps).passed


def test_a_single_image_is_compared_with_its_map_moved_to_many_places():
    found = shortcut()
    one = found.question._replace(images=found.question.images[:1], classes=found.question.classes[:1])
    maps = np.zeros((1, SIDE, SIDE), dtype=np.float32)
    maps[:, *CORNER] = 1.0
    check = deletion_check(found.network, one, maps)
    assert check.passed
    assert check.p_value == 1 / 20
    elsewhere = deletion_check(found.network, one, np.roll(maps, 6, axis=(1, 2)))
    assert not elsewhere.passed


def test_a_map_that_says_nothing_is_like_no_other():
    flat, other = np.zeros((1, 4, 4), dtype=np.float32), np.arange(16, dtype=np.float32).reshape(1, 4, 4)
    assert mean_similarity(flat, [other]) == 0.0
    assert mean_similarity(other, [other, -other]) == pytest.approx(0.0)
    assert mean_similarity(other, [2 * other + 1]) == pytest.approx(1.0)


def test_sanity_passes_for_maps_that_the_weights_determine():
    found = shortcut()

    def gradients(network: torch.nn.Module, question: Question) -> Maps:
        images = question.images.clone().requires_grad_()
        network(images)[torch.arange(len(images)), question.classes].sum().backward()
        assert images.grad is not None
        return images.grad[:, 0].numpy()

    maps = gradients(found.network, found.question)
    assert sanity_check(ARCHITECTURE, gradients, found.question, maps).passed
