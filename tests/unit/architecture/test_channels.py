import pytest
from hypothesis import given
from random_networks import architectures

from modules.architecture.channels import channel_groups, group_made_by, resizable_groups, resized
from modules.architecture.classic import classic_architecture
from modules.architecture.description import IMAGE, Architecture
from modules.architecture.nodes import Conv, Dense, GlobalPool, GroupNorm


@given(architectures())
def test_slots_are_just_what_changes_with_a_group(architecture):
    for group in resizable_groups(architecture):
        for size in {group.size + 2 * group.block, max(group.block, group.size - group.block)}:
            expected = {name: list(spec.shape) for name, spec in architecture.tensors().items()}
            for slot in (*group.made, *group.carried, *group.consumed):
                expected[slot.tensor][slot.dim] += slot.repeat * (size - group.size)
            after = resized(architecture, group, size)
            assert {name: list(spec.shape) for name, spec in after.tensors().items()} == expected


@given(architectures())
def test_every_maker_is_in_one_group(architecture):
    groups = channel_groups(architecture)
    makers = [name for group in groups for name in group.makers]
    assert len(makers) == len(set(makers))
    assert groups[0].fixed == "they are the image's"
    assert any(architecture.nodes[-1].name in group.makers and group.fixed for group in groups)


def test_flattened_channels_have_several_features():
    classic = classic_architecture((1, 28, 28), 10, 1000, (0.1,), (0.3,))
    group = group_made_by(classic, "conv2")
    assert group.consumed == (("dense1.weight", 1, 25),)
    assert group.made == (("conv2.weight", 0, 1), ("conv2.bias", 0, 1))


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        ("dense2", "cannot change in number: they are the classes"),
        ("pool1", "makes no channels; those that do .* conv1"),
    ],
)
def test_groups_that_cannot_change_say_why(node, sentence):
    classic = classic_architecture((1, 28, 28), 10, 1000, (0.1,), (0.3,))
    with pytest.raises(ValueError, match=sentence):
        group_made_by(classic, node)


def test_channels_that_are_normalised_together_come_and_go_together():
    nodes = (
        Conv(name="conv1", inputs=(IMAGE,), channels=12, kernel=1),
        GroupNorm(name="norm1", inputs=("conv1",), group_size=4),
        GroupNorm(name="norm2", inputs=("norm1",), group_size=6),
        GlobalPool(name="global1", inputs=("norm2",)),
        Dense(name="dense1", inputs=("global1",), units=2),
    )
    architecture = Architecture(image_shape=(1, 4, 4), num_classes=2, nodes=nodes)
    group = group_made_by(architecture, "conv1")
    assert group.block == 12
    assert [slot.tensor for slot in group.carried] == ["norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"]
    with pytest.raises(ValueError, match="'norm1' has groups of 4 channels; its 14 must be a multiple"):
        resized(architecture, group, 14)
