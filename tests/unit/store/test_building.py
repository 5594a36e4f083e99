import re

import pytest

from modules.errors import ConfigError
from modules.parts import CONF, allowed_targets, build, resolve, revisions_of
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


def test_revisions_are_read_from_the_sources_of_a_module_and_all_it_imports():
    from modules import randomness
    from modules.training.batching import growth

    found = revisions_of("modules.training.batching.milestones", "modules.training.batches")
    assert found["modules.randomness"] == randomness.REVISION
    assert found["modules.training.batching.growth"] == growth.REVISION
    assert "modules.errors" not in found
    assert list(found) == sorted(found)


@pytest.mark.parametrize("group", ["initialisation", "optimizer", "schedule", "batching", "averaging", "mixing"])
def test_every_part_of_a_recipe_carries_a_revision(group):
    targets = re.findall(r"_target_: (modules[\w.]+)", "".join(path.read_text() for path in (CONF / group).iterdir()))
    assert targets or group == "optimizer"
    for module in {target.rpartition(".")[0] for target in targets}:
        assert module in revisions_of(module)
