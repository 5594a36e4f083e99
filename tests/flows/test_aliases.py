"""The alias `champion` follows what is live wherever MLflow is, and makes no database where MLflow was never used."""

from pathlib import Path

import pytest

from flows import live
from modules.deployment.promotions import Promotion

SERVER = "http://mlflow:5000"
PROMOTED = Promotion(
    at=1.0, action="promoted", model="digits", version="aaa", previous=None, sums="", study="mine", reasons=("first",)
)


class Registry:
    """Where aliases would be pointed."""

    pointed: list[tuple[str, ...]]

    def __init__(self, uri: str, artifacts: Path, home: Path) -> None:
        self.uri = uri

    def point_alias(self, *alias: str) -> None:
        self.pointed.append((self.uri, *alias))

    def close(self) -> None:
        pass


@pytest.fixture
def pointed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(live, "MlflowSink", Registry)
    monkeypatch.setattr(live, "promote", lambda challenger, home: PROMOTED)
    monkeypatch.setattr(live, "rollback", lambda model, home: PROMOTED)
    monkeypatch.setattr(Registry, "pointed", [], raising=False)
    return Registry.pointed


def test_it_follows_on_a_server_that_the_environment_names(pointed, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", SERVER)
    live.gate(tmp_path, tmp_path)
    live.take_back("digits", tmp_path)
    assert pointed == [(SERVER, "digits", "aaa", "champion")] * 2


def test_it_follows_in_the_homes_own_database_if_there_is_one(pointed, tmp_path):
    live.gate(tmp_path, tmp_path)
    assert pointed == []
    (tmp_path / "mlflow.db").touch()
    live.gate(tmp_path, tmp_path)
    assert pointed == [(f"sqlite:///{tmp_path / 'mlflow.db'}", "digits", "aaa", "champion")]
