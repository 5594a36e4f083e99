"""What compose.yaml and prefect.yaml say, as plain processes: PostgreSQL, both servers, a worker that runs a study."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.faults.postgres import Postgres
from tests.integration.conftest import PATIENCE

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

CHECKOUT = Path(__file__).parents[2]
QUICK = ["search=none", "training.max_epochs=2", "trainer.threads=1", "explanation=none"]


class Team:
    """The services of compose.yaml on ports and in folders of this machine's."""

    def __init__(self, folder: Path, postgres: Postgres) -> None:
        self.folder, self.postgres = folder, postgres
        self.home = folder / "home"
        self.described = yaml.safe_load((CHECKOUT / "compose.yaml").read_text())
        self.prefect, self.mlflow = free_port(), free_port()

    def here(self, text: str) -> str:
        """With addresses and paths of containers made ours."""
        ours = {
            "${ESPALIER_PASSWORD:?}": "secret",
            "@database/": f"@127.0.0.1:{self.postgres.port}/",
            "http://prefect:": "http://127.0.0.1:",
            "http://mlflow:": "http://127.0.0.1:",
            "0.0.0.0": "127.0.0.1",
            "4200": str(self.prefect),
            "5000": str(self.mlflow),
            "/artifacts ": f"{self.folder / 'artifacts'} ",
            "/home/espalier": str(self.home),
        }
        for theirs, own in ours.items():
            text = text.replace(theirs, own)
        return str(CHECKOUT) if text == "/espalier" else text

    @contextmanager
    def running(self, name: str) -> Iterator["subprocess.Popen[bytes]"]:
        """One of the services."""
        service = self.described["services"][name]
        settings = {key: self.here(value) for key, value in service["environment"].items()}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = {**os.environ, **settings, "PATH": path, "PREFECT_HOME": str(self.folder / name)}
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                shlex.split(self.here(service["command"])),
                env={**environment, "PYTHONPATH": str(CHECKOUT)},
                stdout=log,
                stderr=log,
                cwd=CHECKOUT,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def ask(address: str, body: dict[str, Any] | None = None) -> Any:
    """JSON of JSON; None where nothing answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"content-type": "application/json"})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            content = answer.read()
    except urllib.error.URLError:
        return None
    return json.loads(content) if content.startswith((b"{", b"[", b"true")) else content.decode()


def wait_until(condition: Callable[[], Any], log: Callable[[], str]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, log()
        time.sleep(0.3)
    return found


@pytest.fixture
def team(tmp_path: Path, postgres: Postgres) -> Iterator[Team]:
    """All services of compose.yaml, each after those that it depends on."""
    team = Team(tmp_path, postgres)
    database = team.described["services"]["database"]["environment"]["POSTGRES_DB"]
    postgres.say(f"CREATE DATABASE {database};")
    postgres.say(team.described["configs"]["databases"]["content"], database=database)
    api, mlflow = f"http://127.0.0.1:{team.prefect}/api", f"http://127.0.0.1:{team.mlflow}"
    with ExitStack() as services:
        for name, health in (("prefect", f"{api}/health"), ("mlflow", f"{mlflow}/health")):
            services.enter_context(team.running(name))
            wait_until(lambda health=health: ask(health), lambda name=name: team.log(name))
        services.enter_context(team.running("worker"))
        pool = f"{api}/work_pools/espalier/workers/filter"
        wait_until(lambda: ask(pool, {}), lambda: team.log("worker"))
        yield team


def test_a_worker_runs_a_deployment_of_prefect_yaml_and_all_is_in_postgresql(team: Team) -> None:
    api = f"http://127.0.0.1:{team.prefect}/api"
    deployments = {each["name"]: each for each in ask(f"{api}/deployments/filter", {})}
    assert deployments.keys() == {"nightly", "retraining"}
    nightly = f"{api}/deployments/{deployments['nightly']['id']}/create_flow_run"
    runs = [
        ask(nightly, {"parameters": {"overrides": overrides}, "state": {"type": "SCHEDULED"}})["id"]
        for overrides in (QUICK, ["optimizer._target_=os.system"])
    ]

    def ended() -> dict[str, Any] | None:
        states = [ask(f"{api}/flow_runs/{run}")["state"] for run in runs]
        over = all(state["type"] in ("COMPLETED", "FAILED", "CRASHED") for state in states)
        return {"good": states[0], "bad": states[1]} if over else None

    states = wait_until(ended, lambda: team.log("worker"))
    assert states["good"]["type"] == "COMPLETED", team.log("worker")
    assert states["bad"]["type"] == "FAILED"
    assert "_target_ cannot be set" in states["bad"]["message"]

    (path,) = team.home.glob("studies/nightly-20*/summary.json")
    summary = json.loads(path.read_text())
    assert summary["state"] == "completed"
    count = "select count(*) from runs where lifecycle_stage = 'active' and status = 'FINISHED'"
    assert team.postgres.count(count, "mlflow") == 1 + summary["trials"]["count"]
    assert team.postgres.count("select count(*) from registered_model_aliases", "mlflow") == 1
    assert list((team.folder / "artifacts").rglob("report.html"))
    assert team.postgres.count("select count(*) from flow_run where state_type = 'COMPLETED'", "prefect") >= 1
    assert not (team.home / "mlflow.db").exists()
