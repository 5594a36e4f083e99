"""`espalier gc` asks before it removes, and never while a study runs."""

import io
import os
import threading
import time
from pathlib import Path

import pytest

from flows.cli import main
from flows.study import StudyFolder
from modules.garbage import collected_alone
from modules.store import Store

KEY = "0" * 32


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a trial of no study, two hours old."""
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path))
    entry = Store(tmp_path / "store").put("trials", KEY, {}, lambda folder: (folder / "a").write_bytes(bytes(2**20)))
    os.utime(entry.folder, (time.time() - 7200,) * 2)
    return tmp_path


def is_there(home: Path) -> bool:
    return Store(home / "store").find("trials", KEY) is not None


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "stays"), [("y\n", False), ("n\n", True), ("\n", True)])
def test_it_shows_what_it_would_free_and_does_as_it_is_told(home, monkeypatch, capsys, answer, stays):
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert main(["gc"]) == 0
    said = capsys.readouterr().out
    assert "trials             1       1.0 MiB" in said
    assert ("nothing was removed" in said) == stays
    assert ("freed 1.0 MiB" in said) != stays
    assert is_there(home) == stays


def test_where_nobody_can_be_asked_it_wants_to_be_told(home, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["gc"]) == 2
    assert "--yes says so beforehand" in capsys.readouterr().err
    assert is_there(home)
    assert main(["gc", "--yes"]) == 0
    assert not is_there(home)
    assert main(["gc"]) == 0
    assert "is without use" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["mine", "mine/credit/without-schedule-0"])
def test_while_a_study_runs_it_waits_for_another_time(home, capsys, name):
    with StudyFolder(home, name).locked():
        assert main(["gc", "--yes"]) == 2
    assert f"study {name} is running" in capsys.readouterr().err
    assert is_there(home)


def test_what_a_study_found_useful_while_it_was_asked_stays(home, monkeypatch, capsys):
    def agree(question):
        with StudyFolder(home, "mine").locked():
            StudyFolder(home, "mine").note_trial(KEY)
        return "y"

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("builtins.input", agree)
    assert main(["gc"]) == 0
    assert "freed 0.0 MiB" in capsys.readouterr().out
    assert is_there(home)


def test_a_study_that_starts_while_garbage_goes_waits_for_that(home):
    begun = threading.Event()

    def start():
        with StudyFolder(home, "mine").locked():
            begun.set()

    with collected_alone(home):
        starting = threading.Thread(target=start)
        starting.start()
        assert not begun.wait(0.3)
    starting.join(20)
    assert begun.is_set()
