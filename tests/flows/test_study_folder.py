"""What a study keeps between its runs."""

import errno
import fcntl
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from flows.server import Membership
from flows.study import Clock, Study, StudyFolder
from modules.config import resolve
from modules.errors import HomeError, StudyError
from modules.store import Store
from tests.made_up_plan import CLOCKLESS

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


def test_a_study_starts_although_somebody_asks_whether_it_is_running(folder):
    assert not folder.is_running
    with (folder.path / ".lock").open("w") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        threading.Timer(0.05, fcntl.flock, (asking, fcntl.LOCK_UN)).start()
        with folder.locked():
            assert folder.is_running


def test_a_home_that_is_a_file_is_said(tmp_path):
    (tmp_path / "studies").write_text("")
    with pytest.raises(HomeError, match="a part of the path is a file"), StudyFolder(tmp_path, "a").locked():
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_that_knows_no_locks_is_said(folder, tmp_path, monkeypatch, number):
    def refuse(*_arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    sentence = r"cannot write under .*: its file system knows no locks \(flock\); point ESPALIER_HOME to one that does"
    with pytest.raises(HomeError, match=sentence), folder.locked():
        pass
    with pytest.raises(HomeError, match=sentence):
        Membership(tmp_path, "http://127.0.0.1:9/api")


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


@pytest.mark.parametrize("other", ["b", "b/credit/without-schedule-0"])
def test_a_study_that_starts_over_leaves_the_trials_that_others_share(folder, tmp_path, other):
    store = Store(tmp_path / "store")
    own, shared, started_from = KEY, "1" * 32, "2" * 32
    for key in (own, shared, started_from):
        store.put("trials", key, {})
        folder.note_trial(key)
    StudyFolder(tmp_path, other).note_trial(shared)
    StudyFolder(tmp_path, other).write("decisions.json", {"start": {"start": {"key": started_from}}})
    StudyFolder(tmp_path, f"{folder.name}/credit/with-all-0").note_trial(own)  # which starts over with it
    folder.start_over(store)
    assert list(store.keys("trials")) == [shared, started_from]


def test_a_variant_that_starts_over_leaves_the_trials_of_its_study(folder, tmp_path):
    store, variant = Store(tmp_path / "store"), StudyFolder(tmp_path, f"{folder.name}/credit/with-all-0")
    store.put("trials", KEY, {})
    for each in (folder, variant):
        each.note_trial(KEY)
    variant.start_over(store)
    assert list(store.keys("trials")) == [KEY]


def test_a_study_goes_on_from_its_plan_or_from_trials_with_the_same_settings(folder):
    assert not folder.has_begun({"seed": 0})
    folder.write("settings.json", {"seed": 0})
    assert not folder.has_begun({"seed": 0})  # it was refused before anything was trained
    folder.note_trial(KEY)
    assert folder.has_begun({"seed": 0})  # killed while it looked for a selection
    assert not folder.has_begun({"seed": 1})
    folder.write("plan.json", {})
    assert folder.has_begun({"seed": 1})


def test_a_study_that_starts_over_leaves_nothing_of_itself_but_its_lock(folder, tmp_path):
    kept = {".lock", "notes.txt"}
    for name in ("plan.json", "summary.json", "view.json", "report.html", ".view.json-k3j9x_2a", *kept):
        (folder.path / name).write_text("{}")
    for name in ("figures", "champion"):
        (folder.path / name).mkdir()
        (folder.path / name / "a").write_text("")
    folder.note_trial(KEY)
    folder.start_over(Store(tmp_path / "store"))
    assert {path.name for path in folder.path.iterdir()} == kept


def test_the_plan_is_the_first_to_go_so_that_a_kill_cannot_leave_a_mixture(folder, tmp_path, monkeypatch):
    for name in ("clock.json", "plan.json", "settings.json"):
        folder.write(name, {})
    gone = []
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: gone.append(path.name))
    folder.start_over(Store(tmp_path / "store"))
    assert gone[0] == "plan.json"
    assert {"clock.json", "settings.json"} < set(gone)


def test_what_cannot_be_forgotten_is_said(folder, tmp_path, monkeypatch):
    def refuse(path, missing_ok=False):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(HomeError, match="no right to write"):
        folder.start_over(Store(tmp_path / "store"))


def test_half_a_line_of_a_killed_writer_is_no_trial_and_swallows_none(folder, tmp_path):
    store = Store(tmp_path / "store")
    keys = [digit * 32 for digit in "012"]
    for key in keys:
        store.put("trials", key, {})
    (folder.path / "trials.jsonl").write_text(f'{{"key": "{keys[0]}"}}\n{{"key": "{keys[1][:7]}')
    for key in keys[1:]:
        folder.note_trial(key, role="edit", generation=1)
    again = StudyFolder(folder.home, folder.name)
    place = {"role": "edit", "generation": 1}
    assert again.trials == {keys[0]: {}, keys[1]: place, keys[2]: place}
    assert (folder.path / "trials.jsonl").read_bytes().count(b"\n") == 4
    folder.start_over(store)
    assert list(store.keys("trials")) == []


def test_the_clock_goes_on_where_an_earlier_run_stopped(folder):
    folder.write("clock.json", {"seconds": 100.0, "started_at": 7.0})
    clock = Clock(folder)
    assert clock.started_at == 7.0
    assert 100.0 <= clock.seconds < 101.0
    clock.keep()
    assert folder.read("clock.json")["seconds"] >= 100.0


def test_a_clock_that_is_set_back_moves_no_budget_and_no_end_before_its_beginning(folder, monkeypatch):
    folder.write("clock.json", {"seconds": 100.0, "started_at": 1e9})
    monkeypatch.setattr(time, "time", lambda: 1e9 - 86400)
    clock = Clock(folder)
    assert clock.started_at == 1e9
    assert 100.0 <= clock.seconds < 101.0
    assert 1e9 + 100 <= clock.now < 1e9 + 101
    monkeypatch.setattr(time, "time", lambda: 1e9 + 86400)
    assert clock.now == 1e9 + 86400


def test_a_question_is_decided_once(folder):
    study = SimpleNamespace(folder=folder, _deciding=threading.Lock())
    answers = iter([None, "changed its mind"])
    assert Study.decided(study, "stop?", lambda: next(answers)) is None
    assert Study.decided(study, "stop?", lambda: next(answers)) is None
    assert Study.decided(study, "samples?", lambda: 5) == 5
    assert folder.read("decisions.json") == {"stop?": None, "samples?": 5}


@pytest.mark.parametrize(
    ("overrides", "seconds", "expected"),
    [
        ([], 500.0, True),
        ([], None, False),
        (["search.final_samples=1000"], 500.0, False),
        (["training.max_epochs=3"], 500.0, False),
        (["budget.samples=1000000"], 500.0, False),
    ],
)
def test_a_plan_of_before_plans_said_so_knows_whether_its_finals_may_grow(folder, overrides, seconds, expected):
    stored = CLOCKLESS.updated(seconds=seconds).model_dump(mode="json")
    del stored["may_grow"]
    folder.write("plan.json", stored)
    progress = SimpleNamespace(say=lambda said: None)
    study = SimpleNamespace(folder=folder, settings=resolve(overrides), progress=progress)
    assert Study.planned(study, lambda: pytest.fail("there is one")).may_grow is expected
    folder.write("plan.json", {**stored, "may_grow": not expected})
    assert Study.planned(study, lambda: pytest.fail("there is one")).may_grow is not expected


def test_a_damaged_file_is_said(tmp_path):
    folder = StudyFolder(tmp_path, "mine")
    folder.write("plan.json", {"generations": 3})
    path = folder.path / "plan.json"
    path.write_text(path.read_text()[:10])
    with pytest.raises(StudyError, match=r"plan\.json is damaged .*fresh=true"):
        folder.read("plan.json")
