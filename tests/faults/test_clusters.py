"""A study on a real Dask cluster and on Ray, with a worker that is killed; and MLflow on a real PostgreSQL."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.faults.conftest import RUN, mlflow_runs, outcome, prefect_states, weights
from tests.integration.conftest import PATIENCE, Runner

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("kind", ["dask", "ray"])
def test_a_cluster_of_two_gives_the_bits_of_one(undisturbed, tmp_path, kind):
    pytest.importorskip(f"prefect_{kind}")
    runner = Runner(tmp_path / "home")
    done = runner.run(*RUN, f"runner={kind}", "runner.workers=2")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert outcome(runner) == outcome(undisturbed)
    assert weights(runner) == weights(undisturbed)
    assert set(prefect_states(runner.home)) == {"COMPLETED"}


def test_a_killed_process_of_a_dask_worker_loses_its_trial_alone(undisturbed, tmp_path):
    pytest.importorskip("prefect_dask")
    runner = Runner(tmp_path / "home")
    process = runner.start_and_wait_for_trials(1, *RUN, "runner=dask", "runner.workers=2")
    victims = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _is_worker_of(pid, runner.home)]
    os.kill(victims[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert outcome(runner) == outcome(undisturbed)
    assert weights(runner) == weights(undisturbed)


def _is_worker_of(pid: int, home: Path) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        return b"modules.workers.main" in command and str(home).encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def test_mlflow_on_postgresql_that_is_stopped_and_started(undisturbed, tmp_path, postgres):
    runner = Runner(tmp_path / "home")
    command = (*RUN, "orchestrator=inline", f"tracking.uri='{postgres.uri}'")
    process = runner.start_and_wait_for_trials(3, *command)
    postgres.stop()
    time.sleep(2)
    postgres.start()
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert outcome(runner) == outcome(undisturbed)
    done = runner.run("sync", "--tracking-uri", postgres.uri)
    assert done.returncode == 0, done.stderr
    count = runner.summary("tiny")["trials"]["count"]
    assert postgres.count("select count(*) from runs where lifecycle_stage = 'active'") == 1 + count
    assert postgres.count("select count(*) from runs where lifecycle_stage = 'active' and status <> 'FINISHED'") == 0
    doubles = "select count(*) from (select 1 from metrics where key like 'steer/%' group by run_uuid, key, step "
    assert postgres.count(f"{doubles} having count(*) > 1) as doubled") == 0


def test_two_studies_at_once_on_one_home(tmp_path):
    """Both through Prefect and MLflow on SQLite; each ends, with all of its runs."""
    runner = Runner(tmp_path / "home")
    processes = [runner.start(*RUN[:-1], f"study=seed-{seed}", f"seed={seed}") for seed in (1, 2)]
    for process in processes:
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors
    counts = [runner.summary(f"seed-{seed}")["trials"]["count"] for seed in (1, 2)]
    runs = mlflow_runs(runner.home)
    assert len(runs) == 2 + sum(counts)
    assert {status for _, status in runs} == {"FINISHED"}
    assert set(prefect_states(runner.home)) == {"COMPLETED"}
