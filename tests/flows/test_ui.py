"""`espalier ui` says where MLflow's pages are, and serves them where no server does; nothing is really started."""

import io
from pathlib import Path
from types import SimpleNamespace

import pytest

from flows import server


@pytest.fixture(autouse=True)
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done about MLflow, in turn; a Ctrl-C comes as soon as there is nothing left but to wait."""
    done: list[str] = []

    class Process:
        def __init__(self, command: list[str], env: dict[str, str], **options: object) -> None:
            done.append(f"serve {env['MLFLOW_BACKEND_STORE_URI']}")
            self.stdin = io.BytesIO()

        def wait(self) -> None:
            if not self.stdin.closed:
                raise KeyboardInterrupt
            done.append("end")

    def wait(path: Path) -> bool:
        done.append("wait for Prefect's")
        raise KeyboardInterrupt

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    membership = SimpleNamespace(url="http://127.0.0.1:4321/api", folder=tmp_path / "prefect")
    monkeypatch.setattr(server, "join", lambda home: membership)
    monkeypatch.setattr(server, "_mark_crashed_runs", lambda membership: None)
    monkeypatch.setattr(server, "_wait_for_mlflow", lambda *_: done.append("answers"))
    monkeypatch.setattr(server, "make_ready", lambda path: done.append(f"make {path.name}"))
    monkeypatch.setattr(server.watchdog, "is_locked", wait)
    monkeypatch.setattr(server.subprocess, "Popen", Process)
    return done


def test_the_homes_own_database_is_made_before_a_server_opens_it(steps, tmp_path, capsys):
    server.serve_ui(tmp_path)
    assert steps == ["make mlflow.db", f"serve sqlite:///{tmp_path / 'mlflow.db'}", "answers", "end"]
    mlflow, prefect, end, _ = capsys.readouterr().out.splitlines()
    assert mlflow.startswith("MLflow   http://127.0.0.1:")
    assert prefect.startswith("Prefect  http://127.0.0.1:4321 ")
    assert end.startswith("Ctrl-C ends")


def test_another_database_is_served_where_the_environment_names_one(steps, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@host/mlflow")
    server.serve_ui(tmp_path)
    assert steps == ["serve postgresql://me:secret@host/mlflow", "answers", "end"]
    assert not (tmp_path / "mlflow.db").exists()


def test_of_a_server_that_is_there_its_address_is_said(steps, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@mlflow:5000")
    server.serve_ui(tmp_path)
    said = capsys.readouterr().out
    assert said.startswith("MLflow   http://mlflow:5000 ")
    assert "secret" not in said
    assert steps == ["wait for Prefect's"]
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect:4200/api")
    server.serve_ui(tmp_path)
    assert "Ctrl-C" not in capsys.readouterr().out
    assert steps == ["wait for Prefect's"]
