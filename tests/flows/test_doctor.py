"""The doctor sees what is wrong, says what to do, and leaves nothing behind."""

import errno
import fcntl
import os

import pytest

from flows import doctor
from flows.cli import main
from flows.doctor import Finding


@pytest.fixture
def _no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_worker", lambda home: Finding("worker", "was not asked"))


@pytest.mark.usefixtures("_no_worker")
def test_a_machine_as_it_should_be_is_well(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path))
    monkeypatch.setattr(doctor, "_SLOW_FLUSH", 60.0)
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert said.endswith("all is well\n")
    for what in ("Python", "prefect", "cores", "ESPALIER_HOME", "disk", "locks", "Prefect", "runner=dask"):
        assert f"ok     {what}" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_no_worker")
def test_versions_that_break_are_named_with_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path))
    versions = {"fastapi": "0.165.1", "lightning": "2.6.2", "onnx": None}
    monkeypatch.setattr(doctor, "_version", lambda name: versions.get(name, "1.0"))
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "WRONG  fastapi" in said
    assert "-> Prefect 3.8 breaks at import with it: pip install -c constraints.txt 'fastapi<0.151'" in said
    assert "a malicious release" in said
    assert "onnx           is not installed" in said
    assert "3 to be seen to" in said


@pytest.mark.usefixtures("_no_worker")
def test_a_server_that_does_not_answer_and_a_home_that_cannot_be(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "PREFECT_API_URL=http://127.0.0.1:9/api does not answer" in said
    assert "point ESPALIER_HOME to a folder that can be written to" in said


@pytest.mark.usefixtures("_no_worker")
def test_a_file_system_that_knows_no_locks_is_said(tmp_path, monkeypatch, capsys):
    def refuse(*_arguments):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path))
    monkeypatch.setattr(fcntl, "flock", refuse)
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert f"are not to be had: {os.strerror(errno.ENOLCK)}" in said
    assert "-> no study can run here: use a file system that knows flock" in said


def test_locks_that_hold_nobody_off_are_wrong(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", lambda *_arguments: None)
    seen, remedy = doctor._locking(tmp_path)
    assert seen == "do not hold"
    assert "never run a study twice at once here" in remedy


@pytest.mark.parametrize(
    ("kind", "more"),
    [("ext4", ""), ("nfs4", "; nfs4 may be mounted elsewhere, too: no other machine was asked")],
)
def test_locks_are_asked_of_this_machine_alone(tmp_path, monkeypatch, kind, more):
    device = tmp_path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    (tmp_path / "mountinfo").write_text(
        f"22 27 0:9999 / /proc rw - nfs proc rw\n36 35 {number} / /home\\040of rw shared:1 - {kind} host:/x rw\n"
    )
    monkeypatch.setattr(doctor, "_MOUNTS", tmp_path / "mountinfo")
    assert doctor._locking(tmp_path) == (f"hold on this machine{more}", "")
    monkeypatch.setattr(doctor, "_MOUNTS", tmp_path / "none")
    assert doctor._locking(tmp_path) == ("hold on this machine", "")


def test_a_real_worker_says_what_it_computes_with(tmp_path):
    finding = doctor._worker(tmp_path)
    assert not finding.is_wrong
    assert finding.seen.startswith("torch ")
