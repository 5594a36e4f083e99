import pytest
import torch
from random_networks import random_images, random_network

from modules.architecture.start import first_architecture
from modules.edits.certificate import certify
from modules.errors import EditError

ARCHITECTURE = first_architecture((1, 8, 8), 10, 1000, (0.2,), (0.3,))
IMAGES = random_images(ARCHITECTURE, 8)


def changed(amount: float):
    network = random_network(ARCHITECTURE)
    with torch.no_grad():
        network.get_parameter("dense1.bias")[3] += amount
    return network


def test_it_measures_the_largest_change_in_deviations():
    before = random_network(ARCHITECTURE)
    certificate = certify("lossy", before, changed(0.5), IMAGES)
    assert certificate.max_logit_change == pytest.approx(0.5 / float(before(IMAGES).detach().std()), rel=1e-4)
    assert certificate.tolerance is None


@pytest.mark.parametrize("amount", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused_for_every_kind(amount):
    with pytest.raises(EditError, match="no longer finite"):
        certify("lossy", random_network(ARCHITECTURE), changed(amount), IMAGES)


@pytest.mark.parametrize("amount", [0.01, -0.01])
def test_an_exact_edit_that_is_not_is_refused(amount):
    with pytest.raises(EditError, match="changed the logits by"):
        certify("exact", random_network(ARCHITECTURE), changed(amount), IMAGES)


def test_dropout_does_not_disturb_it_and_the_mode_is_left_alone():
    before, after = random_network(ARCHITECTURE).train(), random_network(ARCHITECTURE).train()
    assert certify("exact", before, after, IMAGES).max_logit_change == 0
    assert before.training
    assert after.training


def test_false_claims_are_refused():
    network = random_network(ARCHITECTURE)
    network.architecture = first_architecture((1, 8, 8), 11, 1000, (0.2,), (0.3,))
    with pytest.raises(EditError, match="parameters, the network has"):
        certify("lossy", network, network, IMAGES)
    network = random_network(ARCHITECTURE)
    network.conv1.padding = (0, 0)
    with pytest.raises(EditError, match="operations in products, there are"):
        certify("lossy", network, network, IMAGES)
