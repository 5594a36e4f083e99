"""What opening and closing a study does around its stages; no worker is started."""

import contextlib
import os
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from flows import experiment, opening, reporting
from flows.opening import opened_study
from flows.study import Clock
from modules.config import Settings, resolve
from modules.errors import DataError, HomeError, InternalError

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(scope="module")
def settings() -> Settings:
    return resolve(["study=mine"])


@pytest.fixture(autouse=True)
def _no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "open_workers", lambda settings, home: contextlib.nullcontext())


@pytest.fixture
def run_full(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on there is no space."""

    def refuse(*arguments: object) -> None:
        raise HomeError("cannot write: there is no space left")

    def run_full() -> None:
        monkeypatch.setattr(opening.shutil, "disk_usage", lambda path: Usage(2**30, 2**30, 0))
        monkeypatch.setattr(Clock, "keep", refuse)
        monkeypatch.setattr(reporting, "write_interrupted", refuse)

    return run_full


def fail(settings: Settings, home: Path, error: BaseException, before: Callable[[], None] = lambda: None) -> None:
    with opened_study(settings, home, "run", tracked=False):
        before()
        raise error


def test_a_fault_of_a_library_on_a_full_disk_is_the_disks(settings, tmp_path, run_full):
    with pytest.raises(HomeError, match=r"0\.0 MiB are free; a study needs at least 16: free some space"):
        fail(settings, tmp_path, InternalError("Prefect's local server did not start"), run_full)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143), DataError("no images")])
def test_an_interrupt_or_a_wrong_input_stays_what_it_is_on_a_full_disk(settings, tmp_path, run_full, error):
    with pytest.raises(type(error)) as raised:
        fail(settings, tmp_path, error, run_full)
    assert raised.value is error


def test_a_fault_where_there_is_space_stays_a_fault(settings, tmp_path):
    with pytest.raises(InternalError, match="lost its place"):
        fail(settings, tmp_path, InternalError("lost its place"))
    assert (tmp_path / "studies" / "mine" / "clock.json").exists()


def test_a_log_of_the_workers_that_cannot_be_written_is_said(settings, tmp_path, monkeypatch):
    monkeypatch.undo()
    (tmp_path / "logs").write_text("")
    with pytest.raises(HomeError, match=r"logs: a part of the path is a file; point ESPALIER_HOME"):
        opening.open_workers(settings, tmp_path)


def test_what_killed_writers_left_goes_when_a_study_starts(settings, tmp_path):
    left = tmp_path / "store" / "trials" / "ab" / ".writing-k3j9x_2a"
    left.mkdir(parents=True)
    os.utime(left, times=(0, 0))
    with opened_study(settings, tmp_path, "run", tracked=False):
        assert not left.exists()


def test_fresh_forgets_an_earlier_end(settings, tmp_path):
    folder = tmp_path / "studies" / "mine"
    folder.mkdir(parents=True)
    for name in ("plan.json", "view.json", "report.html"):
        (folder / name).write_text("{}")
    with opened_study(settings, tmp_path, "run", tracked=False):
        assert (folder / "view.json").exists()
    with opened_study(settings.updated(fresh=True), tmp_path, "run", tracked=False):
        assert {path.name for path in folder.iterdir()} == {".lock", "overrides.json", "settings.json"}


def test_a_plan_with_fresh_leaves_what_a_study_has_done(settings, tmp_path, monkeypatch):
    folder = tmp_path / "studies" / "mine"
    folder.mkdir(parents=True)
    for name in ("plan.json", "summary.json"):
        (folder / name).write_text("{}")

    def stop(study):
        raise DataError("no images")

    monkeypatch.setattr(experiment, "load_data", stop)
    with pytest.raises(DataError):
        experiment.plan_study(settings.updated(fresh=True), tmp_path)
    assert (folder / "summary.json").exists()


def test_prefects_log_on_a_full_disk_is_silent(capsys, tmp_path):
    import logging

    from flows.prefect_client import _LogFile

    record = logging.makeLogRecord({"msg": "a task failed", "levelno": logging.ERROR})
    for path in (Path("/dev/full"), tmp_path / "no such folder" / "flows.log"):
        handler = _LogFile(path, delay=True)
        handler.handle(record)
        with contextlib.suppress(OSError):
            handler.close()
    assert capsys.readouterr().err == ""
