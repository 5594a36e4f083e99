"""Flows against a real local server: states, names, signals, kills, and a console with the program's own words only."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flows import watchdog
from flows.orchestration import task
from flows.server import join
from modules.errors import UserError

SAMPLE = Path(__file__).with_name("sample_flow.py")
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose server is kept by this process, so that the programs need not each wait for one."""
    path = tmp_path_factory.mktemp("home")
    membership = join(path)
    yield path
    membership.leave()
    wait_until(lambda: not watchdog.is_locked(path / "prefect/watchdog.lock"))


@contextmanager
def started(home: Path, run_name: str, num_tasks: int, seconds: float) -> Iterator["subprocess.Popen[str]"]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default"}
    arguments = [str(home), run_name, str(num_tasks), str(seconds), "prefect"]
    with subprocess.Popen(
        [sys.executable, str(SAMPLE), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def output_of(home: Path, run_name: str, num_tasks: int = 1, seconds: float = 0.0) -> str:
    with started(home, run_name, num_tasks, seconds) as process:
        return process.communicate(timeout=120)[0]


def wait_until(condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to pass"
        time.sleep(0.05)


def rows(home: Path, query: str) -> list[tuple]:
    connection = sqlite3.connect(home / "prefect/prefect.db", timeout=30)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def flow_state(home: Path, run_name: str) -> str:
    return rows(home, f"select state_type from flow_run where name = '{run_name}'")[0][0]


def task_states(home: Path, run_name: str) -> dict[str, str]:
    joined = "task_run t join flow_run f on t.flow_run_id = f.id"
    return dict(rows(home, f"select t.name, t.state_type from {joined} where f.name = '{run_name}'"))


def test_inline_calls_the_functions_and_imports_no_prefect(tmp_path):
    arguments = [str(tmp_path / "home"), "inline-study", "3", "0", "inline"]
    done = subprocess.run([sys.executable, str(SAMPLE), *arguments], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("started\n3\nFalse\n", "")
    assert not (tmp_path / "home").exists()


def test_a_task_name_with_an_unknown_field_is_refused():
    with pytest.raises(ValueError, match=r"field 'role'.*parameters are trial"):
        task("train {role}")(lambda trial: None)


def test_every_task_of_fifty_ends_completed_and_the_console_is_clean(home):
    assert output_of(home, "fifty-retry", 50) == "started\n1225\n"
    assert flow_state(home, "fifty-retry") == "COMPLETED"
    expected = {f"train trial {number}": "COMPLETED" for number in range(50)}
    assert task_states(home, "fifty-retry") == {**expected, "read images": "COMPLETED"}  # the second try of reading
    assert rows(home, "select key, type from artifact") == [("fifty-retry-table", "markdown")]


def test_what_a_task_raises_comes_out_unchanged(home):
    assert output_of(home, "refuse") == "started\nrefused: the folder is empty\n"
    assert flow_state(home, "refuse") == "FAILED"
    assert task_states(home, "refuse") == {"train trial 0": "COMPLETED", "refuse": "FAILED"}


@pytest.mark.parametrize(("number", "code", "said"), [(signal.SIGINT, 130, "interrupted\n"), (signal.SIGTERM, 143, "")])
def test_a_signal_ends_the_flow_at_once_and_in_a_final_state(home, number, code, said):
    run_name = f"signal-{number}"
    with started(home, run_name, 2, 60) as process:
        assert process.stdout.readline() == "started\n"
        wait_until(lambda: task_states(home, run_name).get("train trial 0") == "RUNNING")
        process.send_signal(number)
        assert process.communicate(timeout=30)[0] == said
    assert process.returncode == code
    assert flow_state(home, run_name) == "CANCELLED"
    assert task_states(home, run_name) == {"train trial 0": "CRASHED"}


def test_the_next_start_marks_what_a_kill_left_and_leaves_the_living_alone(home):
    with started(home, "living", 1, 60) as living, started(home, "killed", 1, 60) as killed:
        for process, run_name in ((living, "living"), (killed, "killed")):
            process.stdout.readline()
            wait_until(lambda name=run_name: task_states(home, name).get("train trial 0") == "RUNNING")
        killed.kill()
        killed.wait()
        assert flow_state(home, "killed") == "RUNNING"
        assert output_of(home, "after") == "started\n0\n"
        assert flow_state(home, "killed") == "CRASHED"
        assert task_states(home, "killed") == {"train trial 0": "CRASHED"}
        assert flow_state(home, "living") == "RUNNING"
        assert task_states(home, "living") == {"train trial 0": "RUNNING"}


def test_two_clients_share_a_server_that_goes_with_the_last_of_them_even_if_killed(tmp_path):
    code = "import sys, time; from pathlib import Path; from flows.server import join; "
    code += "print(join(Path(sys.argv[1])).url, flush=True); time.sleep(600)"
    folder = tmp_path / "prefect"
    clients = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)  # at the same moment
    ]
    try:
        first, second = [client.stdout.readline() for client in clients]
        assert first == second
        assert len(watchdog.living_clients(folder)) == 2
        clients[0].kill()
        time.sleep(watchdog.LINGER_SECONDS + 1)
        assert watchdog.is_locked(folder / "watchdog.lock")
        clients[1].kill()
        wait_until(lambda: not watchdog.is_locked(folder / "watchdog.lock"), 15)
        port = int(first.split(":")[2].split("/")[0])
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        assert not (folder / "server.json").exists()
    finally:
        for client in clients:
            client.kill()
            client.communicate()


def test_an_address_where_nothing_answers_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    membership = join(tmp_path)
    with pytest.raises(UserError, match=r"no Prefect server answers at PREFECT_API_URL=http://127.0.0.1:9/api"):
        _ = membership.url
    membership.leave()
    assert not (tmp_path / "prefect/server.json").exists()
