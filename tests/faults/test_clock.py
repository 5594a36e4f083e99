"""A machine whose clock is set back by a day in mid study; then the study is killed and goes on."""

import signal
import sqlite3
import time
from pathlib import Path

import pytest

from tests.faults.conftest import RUN, assert_no_doubles, mlflow_runs, outcome, prefect_states, weights
from tests.faults.wrong_clock import WrongClock
from tests.integration.conftest import PATIENCE, Runner

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]


def test_a_clock_that_is_set_back_a_day_changes_nothing(undisturbed: Runner, tmp_path: Path) -> None:
    clock = WrongClock(tmp_path / "clock")
    runner = Runner(tmp_path / "home", clock.environment)
    started = time.monotonic()
    process = runner.start_and_wait_for_trials(2, *RUN)
    clock.set_back(86_400)
    while runner.trials() < 4:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    done = runner.run(*RUN)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr

    assert outcome(runner) == outcome(undisturbed)
    assert weights(runner) == weights(undisturbed)
    summary = runner.summary("tiny")
    assert 0 < summary["seconds"] < time.monotonic() - started
    assert summary["trials"]["reused"] >= 4
    assert {status for _, status in mlflow_runs(runner.home)} == {"FINISHED"}
    assert len(mlflow_runs(runner.home)) == 1 + summary["trials"]["count"]
    assert_no_doubles(runner.home)
    with sqlite3.connect(runner.home / "mlflow.db") as database:
        assert database.execute("select name from runs where end_time < start_time").fetchall() == []
        beginnings = [each / 1000 for (each,) in database.execute("select start_time from runs")]
    assert max(beginnings) - min(beginnings) > 80_000  # the clock was set back, and MLflow was told so
    assert set(prefect_states(runner.home)) <= {"COMPLETED", "CRASHED", "FAILED", "CANCELLED"}
