import torch
from hypothesis import given, settings
from random_networks import architectures, random_images, random_network

from modules.architecture.folding import folded


@settings(max_examples=60)
@given(architectures())
def test_the_function_stays(architecture):
    network = random_network(architecture)
    images = random_images(architecture)
    simpler, places = folded(network, architecture.nodes[-1].name)
    with torch.no_grad():
        torch.testing.assert_close(simpler(images), network(images), atol=1e-4, rtol=1e-4)
    assert not set(places) & {node.name for node in simpler.architecture.nodes}


@settings(max_examples=60)
@given(architectures())
def test_what_a_cut_gives_stays(architecture):
    network = random_network(architecture)
    images = random_images(architecture)
    for cut in architecture.cuts():
        simpler, places = folded(network, cut)
        with torch.no_grad():
            values = simpler.until(places.get(cut, cut), images)
            torch.testing.assert_close(values, network.until(cut, images), atol=1e-4, rtol=1e-4)


@settings(max_examples=60)
@given(architectures())
def test_a_network_can_be_computed_in_two_parts_at_each_cut(architecture):
    network = random_network(architecture)
    images = random_images(architecture)
    with torch.no_grad():
        expected = network(images)
        for cut in architecture.cuts():
            values = network.until(cut, images)
            torch.testing.assert_close(network.after(cut, values), expected, atol=1e-5, rtol=1e-5)
