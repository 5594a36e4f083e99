"""Every yaml of every group composes, and every group is a part of the settings."""

import re
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from modules.config import Settings, group_choices, resolve, resolved_config
from modules.config.overrides import UNCHOSEN
from modules.parts import CONF

YAMLS = sorted(CONF.glob("*/*.yaml"))
CHOICES = [path for path in YAMLS if path.parent.name not in UNCHOSEN]
PLAIN = [
    "budget",
    "energy",
    "explanation",
    "objective",
    "runner",
    "search",
    "tracking",
    "trainer",
    "training",
    "transfer",
]


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def test_every_group_has_its_place_in_the_settings():
    groups = {path.parent.name for path in YAMLS}
    assert groups - {*UNCHOSEN, "experiment"} <= set(Settings.model_fields)


@pytest.mark.parametrize("path", CHOICES, ids=_name)
def test_every_choice_composes(path):
    settings = resolve([f"{path.parent.name}={path.stem}"])
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize("path", sorted(CONF.glob("edit/*.yaml")), ids=_name)
def test_every_edit_can_be_the_only_one(path):
    (edit,) = resolve([f"search.edits=[{path.stem}]"]).search.edits
    assert edit.target in path.read_text()


@pytest.mark.parametrize("path", [path for path in YAMLS if path.parent.name in PLAIN], ids=_name)
def test_every_key_of_a_section_is_a_setting(path):
    section = Settings.model_fields[path.parent.name].annotation
    filled = {"default_learning_rate"} if path.parent.name == "training" else set()  # by what the optimizer says
    config = resolved_config([f"{path.parent.name}={path.stem}"])[path.parent.name]
    assert set(config) == set(section.model_fields) - filled


def test_a_kind_of_search_says_only_what_is_not_as_in_that_which_it_builds_on():
    kinds = sorted(path.stem for path in CONF.glob("search/*.yaml"))
    assert group_choices()["search"] == kinds == ["edits", "none", "random", "sweep"]
    for kind in kinds:
        own = yaml.safe_load((CONF / "search" / f"{kind}.yaml").read_text())
        base, *_ = own.pop("defaults", [None])
        below = resolved_config([f"search={base}"])["search"] if base else {}
        assert [key for key, value in own.items() if key in below and below[key] == value] == []
        assert resolved_config([f"search={kind}"])["search"] == {**below, **own}


@pytest.mark.parametrize("path", sorted(CONF.glob("optimizer/*.yaml")), ids=_name)
def test_every_optimizer_says_its_rate(path):
    rate = OmegaConf.load(path)["default_learning_rate"]
    assert resolve([f"optimizer={path.stem}"]).training.default_learning_rate == rate


@pytest.mark.parametrize("path", sorted(CONF.glob("experiment/*.yaml")), ids=_name)
def test_presets_open_with_what_to_expect_and_the_command(path):
    opening = re.split(r"^\w", path.read_text(), maxsplit=1, flags=re.MULTILINE)[0]
    assert opening.startswith("# @package _global_\n")
    assert "# Expected" in opening
    assert f"espalier run experiment={path.stem}" in opening


@pytest.mark.parametrize("path", sorted(CONF.glob("data/*.yaml")), ids=_name)
def test_every_data_set_has_its_augmentation(path):
    assert resolve([f"data={path.stem}"]).data.name == path.stem
    assert (CONF / "augmentation" / f"for_{path.stem}.yaml").is_file()
