"""What a study keeps between its runs."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from flows.study import Clock, Study, StudyFolder
from modules.errors import HomeError, StudyError
from modules.store import Store

KEY = "0" * 32


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    found = StudyFolder(tmp_path, "a")
    found.path.mkdir(parents=True)
    return found


def test_a_study_is_held_by_one_at_a_time(folder):
    with folder.locked(), pytest.raises(StudyError, match="study 'a' is already running"), folder.locked():
        pass
    with folder.locked():
        pass


def test_a_home_that_is_a_file_is_said(tmp_path):
    (tmp_path / "studies").write_text("")
    with pytest.raises(HomeError, match="a part of the path is a file"), StudyFolder(tmp_path, "a").locked():
        pass


def test_trials_are_noted_once_and_forgotten_when_it_starts_over(folder, tmp_path):
    store = Store(tmp_path / "store")
    for key in (KEY, "1" * 32):
        store.put("trials", key, {})
    folder.note_trial(KEY)
    folder.note_trial(KEY)
    folder.write("plan.json", {})
    folder.start_over(store)
    assert store.find("trials", KEY) is None
    assert store.find("trials", "1" * 32) is not None  # another study's
    assert folder.read("plan.json") is None


def test_half_a_line_of_a_killed_writer_is_no_trial(folder, tmp_path):
    (folder.path / "trials.txt").write_text(f"{KEY}\n{KEY[:7]}")
    folder.start_over(Store(tmp_path / "store"))
    assert not (folder.path / "trials.txt").exists()


def test_the_clock_goes_on_where_an_earlier_run_stopped(folder):
    folder.write("clock.json", {"seconds": 100.0, "started_at": 7.0})
    clock = Clock(folder)
    assert clock.started_at == 7.0
    assert 100.0 <= clock.seconds < 101.0
    clock.keep()
    assert folder.read("clock.json")["seconds"] >= 100.0


def test_a_question_is_decided_once(folder):
    study = SimpleNamespace(folder=folder)
    answers = iter([None, "changed its mind"])
    assert Study.decided(study, "stop?", lambda: next(answers)) is None
    assert Study.decided(study, "stop?", lambda: next(answers)) is None
    assert Study.decided(study, "samples?", lambda: 5) == 5
    assert folder.read("decisions.json") == {"stop?": None, "samples?": 5}
