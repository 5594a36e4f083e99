"""A machine whose clock is set back by a day in mid study, for all that ask it: Prefect's server and MLflow, too."""

import signal
import sqlite3
import time
from pathlib import Path

import pytest

from tests.faults.conftest import RUN, assert_no_doubles, mlflow_runs, outcome, prefect_states, weights
from tests.integration.conftest import PATIENCE, Runner

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


def with_a_clock(path: Path) -> dict[str, str]:
    """A clock that follows what is written into a file within a second; the monotonic one stays as it is."""
    path.write_text("+0")
    return {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(path),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # with it threads of Python wait for ever
        "NO_FAKE_STAT": "1",
    }


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed: apt-get install faketime")
def test_a_clock_that_is_set_back_a_day_changes_nothing(undisturbed: Runner, tmp_path: Path) -> None:
    runner = Runner(tmp_path / "home", with_a_clock(tmp_path / "clock"))
    started = time.monotonic()
    process = runner.start_and_wait_for_trials(2, *RUN)
    (tmp_path / "clock").write_text("-1d")
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
    assert set(prefect_states(runner.home)) <= {"COMPLETED", "CRASHED", "FAILED", "CANCELLED"}
