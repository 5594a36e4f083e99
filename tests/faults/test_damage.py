"""What else happens to a study: files that rot, a home that moves, databases and servers that are not there."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from flows.watchdog import is_locked
from tests.faults.conftest import (
    RUN,
    SERIAL,
    assert_no_doubles,
    mlflow_runs,
    outcome,
    prefect_states,
    run_to_its_end,
    weights,
)
from tests.integration.conftest import PATIENCE, Runner

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

FINAL = {"COMPLETED", "CRASHED", "FAILED", "CANCELLED"}


def trial_file(runner: Runner, name: str) -> Path:
    """Of the trial that the study ended with."""
    expected = outcome(runner)["champion"]["weights_sha256"]
    for path in (runner.home / "store" / "trials").glob(f"??/*/{name}"):
        if expected in (path.parent / "result.json").read_text():
            return path
    raise AssertionError("the winner is not in the store")


@pytest.mark.parametrize("damage", ["flipped", "truncated", "gone"])
@pytest.mark.parametrize("name", ["state.safetensors", "result.json", "record.json"])
def test_a_damaged_file_of_the_winner_is_found_redone_and_said(undisturbed, tmp_path, damage, name):
    runner = Runner(Path(shutil.copytree(undisturbed.home, tmp_path / "home")))
    path = trial_file(runner, name)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content if damage == "flipped" else content[: len(content) // 2])
    if damage == "gone":
        path.unlink()
    done = runner.run(*SERIAL)
    assert done.returncode == 0, done.stderr
    assert "is damaged" in done.stderr
    assert "will be made again" in done.stderr
    assert outcome(runner) == outcome(undisturbed)
    assert weights(runner) == weights(undisturbed)


def test_a_home_that_was_moved_goes_on_where_it_is(undisturbed, tmp_path):
    """Stopped in the middle, moved with everything in it, and gone on with under the new path."""
    first = Runner(tmp_path / "here" / "home")
    first.home.parent.mkdir()
    process = first.start_and_wait_for_trials(3, *RUN)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    while is_locked(first.home / "prefect" / "watchdog.lock"):  # its Prefect server ends itself
        time.sleep(0.2)
    second = Runner(tmp_path / "there" / "home")
    second.home.parent.mkdir()
    first.home.rename(second.home)
    done = second.run(*RUN)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert outcome(second) == outcome(undisturbed)
    assert second.summary("tiny")["trials"]["reused"] >= 3
    assert not first.home.exists()
    assert {status for _, status in mlflow_runs(second.home)} == {"FINISHED"}


@contextmanager
def locked(database: Path, seconds: float) -> Iterator[None]:
    """Another process's transaction that takes its time."""
    with closing(sqlite3.connect(database, timeout=60, check_same_thread=False)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        release = threading.Timer(seconds, connection.rollback)
        release.start()
        yield
        release.join()


@pytest.mark.parametrize("database", ["mlflow.db", "prefect/prefect.db"])
def test_a_database_that_is_locked_for_half_a_minute(undisturbed, tmp_path, database):
    runner = Runner(tmp_path / "home")
    process = runner.start_and_wait_for_trials(2, *RUN)
    with locked(runner.home / database, seconds=30):
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert outcome(runner) == outcome(undisturbed)
    assert len(mlflow_runs(runner.home)) == 1 + runner.summary("tiny")["trials"]["count"]
    assert_no_doubles(runner.home)
    assert set(prefect_states(runner.home)) <= FINAL


def test_prefects_server_killed_in_mid_study_is_started_again(undisturbed, tmp_path):
    runner = Runner(tmp_path / "home")
    process = runner.start_and_wait_for_trials(2, *RUN)
    for pid in _processes("prefect_server.py", str(runner.home)):
        os.kill(pid, signal.SIGKILL)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert outcome(runner) == outcome(undisturbed)
    run_to_its_end(runner, *RUN)
    assert set(prefect_states(runner.home)) <= FINAL


def test_mlflows_server_killed_in_mid_study_is_written_again_afterwards(undisturbed, tmp_path):
    runner = Runner(tmp_path / "home")
    with mlflow_server(tmp_path / "served") as (uri, kill):
        tracked = [each for each in SERIAL if not each.startswith("tracking.")]
        process = runner.start_and_wait_for_trials(2, *tracked, f"tracking.uri={uri}")
        kill()
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert "could not be written" in errors
    assert outcome(runner) == outcome(undisturbed)
    with mlflow_server(tmp_path / "served") as (uri, _):
        done = runner.run("sync", "--tracking-uri", uri)
    assert done.returncode == 0, done.stderr
    runs = mlflow_runs(tmp_path / "served")
    assert len(runs) == 1 + runner.summary("tiny")["trials"]["count"]
    assert {status for _, status in runs} == {"FINISHED"}
    assert_no_doubles(tmp_path / "served")


@contextmanager
def mlflow_server(folder: Path):
    """A server of its own, as a team has it; its address and what kills it."""
    import socket

    folder.mkdir(exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination",
        str(folder / "a"),
    ]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True, cwd=folder)

    def kill() -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    try:
        deadline = time.monotonic() + PATIENCE
        while not _answers(port):
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.3)
        yield f"http://127.0.0.1:{port}", kill
    finally:
        kill()


def _answers(port: int) -> bool:
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        return opener.open(f"http://127.0.0.1:{port}/health", timeout=5).status == 200
    except OSError:
        return False


def _processes(script: str, home: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().decode().split("\0")
            mine = home in (path / "environ").read_bytes().decode(errors="replace")
        except (OSError, UnicodeDecodeError):
            continue
        if mine and any(word.endswith(script) for word in command):
            found.append(int(path.name))
    return found
