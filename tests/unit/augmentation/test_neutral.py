"""What every augmentation's yaml says of its strengths: `neutral` values change nothing, nor does a strength of 0."""

import re

import pytest
import torch
import yaml

from modules.augmentation.policy import build_policy
from modules.augmentation.strength import strengthened
from modules.parts import CONF, build
from modules.records import Part

NODES = {
    path.stem: node
    for path in sorted((CONF / "augmentation").glob("*.yaml"))
    for node in (yaml.safe_load(path.read_text()).get("transforms") or {}).values()
    if "_target_" in node
}
DRAWS_OPERATIONS = {"trivial_augment", "rand_augment"}  # two of which have no strength


def part_of(node):
    arguments = {name: value for name, value in node.items() if not re.fullmatch("_.*_", name)}
    return Part(target=node["_target_"], arguments=arguments)


def neutral(node):
    arguments = part_of(node).arguments
    values = {name: entry["neutral"] for name, entry in node["_schema_"].items() if "neutral" in entry}
    return Part(target=node["_target_"], arguments={**arguments, **values})


@pytest.mark.parametrize("name", [name for name in NODES if name not in DRAWS_OPERATIONS | {"flip"}])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_neutral_transform_changes_nothing(name, channels, batch):
    images, draws = batch(channels=channels)
    images = (images * 255).round() / 255
    torch.testing.assert_close(build(neutral(NODES[name]))(images, draws), images, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NODES)
def test_what_is_not_neutral_changes_something_and_without_strength_nothing(name, batch):
    images, draws = batch(channels=3)
    part = part_of(NODES[name])
    assert not torch.allclose(build(part)(images, draws), images, atol=1e-3)
    assert torch.equal(build_policy(strengthened([part], 0.0))(images, draws), images)
