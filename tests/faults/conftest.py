"""Studies that are killed, and what has to hold afterwards."""

import json
import os
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.faulty_disk import Fault
from tests.faults.postgres import INITDB, Postgres
from tests.integration.conftest import INLINE, TINY, Runner

RUN = ("run", *TINY, "study=tiny")
SERIAL = (*RUN, *INLINE)
TWO = (*SERIAL, "runner=processes", "runner.workers=2")


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """A study that nothing happened to, with the number of operations that it asked of the disk."""
    folder = tmp_path_factory.mktemp("undisturbed")
    runner = Runner(folder / "home", Fault("none", 0, str(folder / "count")).environment)
    done = runner.run(*SERIAL)
    assert (done.returncode, done.stderr) == (0, "")
    return runner


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """An empty one that runs."""
    pytest.importorskip("psycopg2")
    if INITDB is None:
        pytest.skip("PostgreSQL is not installed")
    folder = Path(tempfile.mkdtemp(prefix="espalier-pg-"))
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    server = Postgres(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


def num_operations(undisturbed: Runner) -> int:
    return (undisturbed.home.parent / "count").stat().st_size


def outcome(runner: Runner) -> dict[str, Any]:
    """All of a finished study that must not depend on luck: the winner, and every edit with its verdict."""
    summary = runner.summary("tiny")
    assert summary["state"] == "completed"
    ledger = json.loads((runner.home / summary["ledger"]).read_text())
    champion = {name: value for name, value in summary["champion"].items() if name != "latency_ms"}
    rows = [row for generation in ledger["generations"] for row in generation["rows"]] + ledger["final"]
    edits = [(row["description"], row["kept"], row["verdict"], row["trials"]) for row in rows]
    return {"champion": champion, "edits": edits, "lineage": ledger["lineage"], "count": summary["trials"]["count"]}


def weights(runner: Runner) -> dict[str, bytes]:
    """The weights of every trial of the store, by its key."""
    found = (runner.home / "store" / "trials").glob("??/[0-9a-f]*/weights.safetensors")  # not what a killed writer left
    return {path.parent.name: path.read_bytes() for path in found}


def run_to_its_end(runner: Runner, *command: str, fault: Fault | None = None) -> int:
    """Run a study with a fault, then as often as it takes without; the number of starts."""
    struck = Runner(runner.home, fault.environment if fault else {})
    done = struck.run(*command)
    for starts in range(1, 4):
        assert "Traceback" not in done.stderr, done.stderr
        if done.returncode == 0:
            return starts
        assert fault is not None
        assert done.returncode in (-9, 2), done.stderr
        done = runner.run(*command)
    raise AssertionError(done.stderr)


def mlflow_runs(home: Path) -> list[tuple[str, str]]:
    """Names and states of all runs that are not deleted."""
    with sqlite3.connect(home / "mlflow.db") as database:
        return database.execute("select name, status from runs where lifecycle_stage = 'active'").fetchall()


def prefect_states(home: Path) -> Counter[str]:
    """How many flow and task runs are in which state."""
    states: Counter[str] = Counter()
    with sqlite3.connect(home / "prefect" / "prefect.db") as database:
        for table in ("flow_run", "task_run"):
            states.update(state for (state,) in database.execute(f"select state_type from {table}"))
    return states


def assert_no_doubles(home: Path) -> None:
    """Every point of every curve of MLflow is there once."""
    with sqlite3.connect(home / "mlflow.db") as database:
        query = "select run_uuid, key, step, count(*) from metrics group by run_uuid, key, step having count(*) > 1"
        doubles = [row for row in database.execute(query) if not row[1].startswith("study/")]
    assert doubles == []


FAULTS_OF_A_KILL = os.environ.get("ESPALIER_KILLS", "25")  # per runner
