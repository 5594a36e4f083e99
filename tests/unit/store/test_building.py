import pytest

from modules.errors import ConfigError
from modules.parts import allowed_targets, build, resolve, revision_of
from modules.records import Part


def test_a_part_is_built_with_its_arguments_and_what_is_added():
    cosine = build(Part(target="modules.training.schedules.cosine.Cosine", arguments={"final_factor": 0.25}))
    assert type(cosine).__name__ == "Cosine"
    assert cosine.final_factor == 0.25
    linear = build(Part(target="modules.training.schedules.linear.Linear"), final_factor=0.5)
    assert linear.final_factor == 0.5


@pytest.mark.parametrize("target", ["os.system", "modules.store.Store", "torch.load", "Cosine", ""])
def test_what_no_yaml_names_is_not_called(target):
    with pytest.raises(ConfigError, match="not one that this program ships"):
        build(Part(target=target))


def test_every_allowed_target_is_there():
    assert allowed_targets()
    assert all(callable(resolve(target)) for target in allowed_targets())


def test_a_revision_is_read_from_the_source():
    from modules import randomness

    assert revision_of("modules.randomness") == randomness.REVISION
    with pytest.raises(LookupError, match=r"modules\.errors carries no REVISION"):
        revision_of("modules.errors")
