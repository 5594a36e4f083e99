"""What `espalier replay` reads of how a study was begun."""

from typing import Any

import pytest

from flows.replay import kept_settings
from flows.study import StudyFolder
from modules.config import resolve
from modules.errors import StudyError

OVERRIDES = ("search=sweep", "runner=processes", "runner.workers=2", "study=mine", "energy.country=DEU", "fresh=true")


@pytest.fixture
def folder(tmp_path: Any) -> StudyFolder:
    folder = StudyFolder(tmp_path, "mine")
    folder.write("settings.json", resolve(OVERRIDES).content)
    return folder


def test_all_that_results_depend_on_comes_back(folder: StudyFolder) -> None:
    kept = kept_settings(folder)
    assert kept.content == resolve(OVERRIDES).content
    assert (kept.orchestrator, kept.runner.kind, kept.tracking.enabled) == ("inline", "serial", False)
    assert (kept.study, kept.fresh, kept.energy.country, kept.overrides) == (None, False, None, ())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda training: training.pop("find_rate"), "training.find_rate: field required"),
        (lambda training: training.update(new=1), "training.new: extra inputs"),
    ],
)
def test_settings_of_another_version_are_refused_in_a_sentence(folder: StudyFolder, change: Any, said: str) -> None:
    content = resolve(OVERRIDES).content
    change(content["training"])
    folder.write("settings.json", content)
    with pytest.raises(StudyError, match=rf"settings of study 'mine' in .*\({said}.*\); allowed are") as refused:
        kept_settings(folder)
    assert "\n" not in str(refused.value)
