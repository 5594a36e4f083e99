"""Images on their way through a network, as calibrations ask for them."""

import torch
from hypothesis import given, settings
from random_networks import architectures, random_images, random_network

from modules.edits.calibration import Passage


@settings(max_examples=15)
@given(architectures())
def test_each_node_gives_what_it_gives_in_the_whole_network(architecture):
    network, images = random_network(architecture).eval(), random_images(architecture, 4)
    with torch.no_grad():
        whole = network.outputs(images)
    passage = Passage(network, images)
    names = [node.name for node in architecture.nodes]
    for name in [*names, *reversed(names)]:  # in their order, and in any other
        assert torch.equal(passage.output(name), whole[name])


@settings(max_examples=15)
@given(architectures())
def test_what_was_changed_is_computed_again(architecture):
    network, images = random_network(architecture).eval(), random_images(architecture, 4)
    passage = Passage(network, images)
    last = architecture.nodes[-1]
    passage.output(last.name)
    with torch.no_grad():
        network.get_parameter(f"{last.name}.weight").mul_(2.0)
        passage.repeat(last.name)
        assert torch.equal(passage.output(last.name), network.outputs(images)[last.name])
