"""The doctor sees what is wrong, says what to do, and leaves nothing behind."""

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


def test_a_real_worker_says_what_it_computes_with(tmp_path):
    finding = doctor._worker(tmp_path)
    assert not finding.is_wrong
    assert finding.seen.startswith("torch ")
