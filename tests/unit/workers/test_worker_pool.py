"""Real worker processes. The jobs are the program's own: light ones, or heavy ones that are stopped from outside."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from modules.errors import ConfigError, DataError, InternalError, StudyError, TrainingError, UserError, WorkerError
from modules.workers import main
from modules.workers import pool as pool_module
from modules.workers.pool import (
    JobTimedOutError,
    PoolClosedError,
    Worker,
    WorkerDiedError,
    WorkerKilledError,
    WorkerPool,
)

NUMERICS = "modules.training.numerics.describe_numerics"
ON_CPU = {"accelerator": "cpu", "devices": 1, "strategy": "auto"}
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """One warm worker for the tests that do it no harm."""
    with WorkerPool(
        1, threads=1, log_folder=tmp_path_factory.mktemp("logs"), preload="modules.training.numerics"
    ) as one:
        yield one


def only_worker(pool: WorkerPool) -> Worker:
    (worker,) = pool._all
    return worker


def test_a_job_gives_its_result(pool):
    result = pool.call(NUMERICS, {"precision": "float32", **ON_CPU})
    assert result["threads"] == 1
    assert result["precision"] == "float32"


def test_a_worker_is_used_again(pool):
    pool.call(NUMERICS, {"precision": "float32", **ON_CPU})
    before = only_worker(pool).process.pid
    pool.call(NUMERICS, {"precision": "bfloat16", **ON_CPU})
    assert only_worker(pool).process.pid == before


def test_what_is_no_job_is_an_internal_error_and_the_worker_lives(pool):
    before = only_worker(pool).process.pid
    for name in ("os.getcwd", "modules.store.write_text", "modules.store.no_such_thing"):
        with pytest.raises(WorkerError, match="is not a job of this program") as raised:
            pool.call(name, {})
        assert isinstance(raised.value, InternalError)
    assert only_worker(pool).process.pid == before


def test_an_internal_error_says_what_and_where_its_log_is(pool):
    with pytest.raises(WorkerError) as raised:
        pool.call(NUMERICS, {"nonsense": 1})
    worker = only_worker(pool)
    assert f"{NUMERICS} failed: TypeError" in str(raised.value)
    assert str(worker.log) in str(raised.value)
    log = worker.log.read_text()
    assert "Traceback" in log
    assert "nonsense" in log


def test_jobs_from_several_threads_each_get_their_own_result(pool):
    asked = ["float32", "bfloat16"] * 4
    answers: dict[int, str] = {}

    def ask(index: int) -> None:
        answers[index] = pool.call(NUMERICS, {"precision": asked[index], **ON_CPU})["precision"]

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(asked))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answers[index] for index in range(len(asked))] == asked


SCRIPTED = """
import json, os, signal, sys, time
for line in sys.stdin:
    request = json.loads(line)
    for step in request["arguments"]["steps"]:
        if step == "sleep":
            time.sleep(60)
        elif step == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif step == "exit":
            os._exit(3)
        elif step == "die once" and not os.path.exists(sys.argv[1]):
            open(sys.argv[1], "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        elif step == "half":
            print('{"result": {"a"', end="", flush=True)
        elif isinstance(step, dict):
            print(json.dumps(step), flush=True)
"""


@pytest.fixture
def scripted(tmp_path, monkeypatch):
    """A pool whose process starts at once and says and does what it is told; the parent's side is the real one."""
    real = subprocess.Popen

    def popen(command, **settings):
        return real([sys.executable, "-S", "-c", SCRIPTED, str(tmp_path / "died")], **settings)

    monkeypatch.setattr(pool_module.subprocess, "Popen", popen)

    @contextlib.contextmanager
    def make(**settings):
        with WorkerPool(1, threads=1, log_folder=tmp_path, **settings) as pool:
            yield pool

    return make


def run(pool, *steps, report=lambda progress: None):
    return pool.call("modules.job", {"steps": steps}, report)


def test_progress_comes_in_order_before_the_result(scripted):
    seen = []
    with scripted() as pool:
        steps = [{"progress": {"samples": count}} for count in (1, 2, 3)]
        assert run(pool, *steps, {"result": {"loss": 1.0}}, report=seen.append) == {"loss": 1.0}
    assert seen == [{"samples": 1}, {"samples": 2}, {"samples": 3}]


@pytest.mark.parametrize("kind", [DataError, ConfigError, StudyError, TrainingError, UserError])
def test_a_users_error_comes_out_as_it_was(scripted, kind):
    with scripted() as pool:
        with pytest.raises(kind) as raised:
            run(pool, {"user_error": {"kind": kind.__name__, "message": "the folder is empty"}})
        assert type(raised.value) is kind
        assert str(raised.value) == "the folder is empty"
        assert run(pool, {"result": {}}) == {}


def test_a_worker_that_is_killed_once_is_replaced_and_the_job_tried_again(scripted, caplog):
    with scripted() as pool:
        first = only_worker(pool)
        assert run(pool, {"progress": {}}, "die once", {"result": {"loss": 2.0}}) == {"loss": 2.0}
        assert only_worker(pool) is not first
        assert first.process.returncode == -signal.SIGKILL
    (message,) = caplog.messages
    assert "was killed (signal 9)" in message
    assert "tried again" in message


def test_a_job_that_kills_its_worker_twice_gets_one_sentence(scripted):
    with scripted() as pool:
        with pytest.raises(WorkerDiedError) as raised:
            run(pool, "die")
        sentence = str(raised.value)
        assert "killed (signal 9), as happens when memory runs out" in sentence
        assert "worker-0.log" in sentence
        assert "\n" not in sentence
        assert run(pool, {"result": {"after": 1}}) == {"after": 1}


def test_a_worker_whose_memory_ran_out_is_replaced_as_if_it_had_been_killed(scripted, caplog):
    with scripted() as pool:
        first = only_worker(pool)
        with pytest.raises(WorkerKilledError, match=r"ran out of memory; its log is .*worker-0\.log"):
            run(pool, {"out_of_memory": {"kind": "OutOfMemoryError", "message": "CUDA out of memory."}})
        assert first.process.returncode == -signal.SIGKILL
        assert run(pool, {"result": {"after": 1}}) == {"after": 1}
    (message,) = caplog.messages
    assert message.endswith("; the job is tried again")


@pytest.mark.parametrize(("error", "kind"), [("CUDA out of memory. Tried", "out_of_memory"), ("a fault", "error")])
def test_a_worker_says_whether_memory_ran_out(monkeypatch, error, kind, capsys):
    def fail(report):
        raise RuntimeError(error)

    monkeypatch.setattr(main, "find_job", lambda name: fail)
    said = io.StringIO()
    main._answer({"job": "modules.job", "arguments": {}}, said)
    ((found, value),) = json.loads(said.getvalue()).items()
    assert (found, value["message"]) == (kind, error)
    assert error in capsys.readouterr().err


@pytest.mark.parametrize(("steps", "words"), [(("exit",), "exit code 3"), (("half", "die"), "signal 9")])
def test_a_worker_that_ends_without_an_answer_has_died(scripted, steps, words):
    with scripted() as pool, pytest.raises(WorkerDiedError, match=words):
        run(pool, *steps)


def test_a_worker_that_died_between_two_jobs_is_replaced(scripted, caplog):
    with scripted() as pool:
        only_worker(pool).process.kill()
        only_worker(pool).process.wait()
        assert run(pool, {"result": {"loss": 3.0}}) == {"loss": 3.0}


def test_a_job_that_takes_too_long_is_ended_and_not_tried_again(scripted, tmp_path, caplog):
    with scripted(timeout_seconds=0.6) as pool:
        first = only_worker(pool)
        with pytest.raises(JobTimedOutError) as raised:
            run(pool, {"progress": {}}, "sleep")
        sentence = str(raised.value)
        assert "modules.job was ended because it took longer than trainer.worker_timeout_minutes=0.01" in sentence
        assert "worker-0.log" in sentence
        assert caplog.messages == []
        assert run(pool, {"result": {"quick": True}}) == {"quick": True}
        assert only_worker(pool) is not first


def test_a_death_before_the_time_limit_is_tried_again(scripted, caplog):
    with scripted(timeout_seconds=60.0) as pool:
        assert run(pool, "die once", {"result": {"loss": 2.0}}) == {"loss": 2.0}
    assert "was killed (signal 9), as happens when memory runs out; its log is" in caplog.text


def test_a_time_limit_that_is_reached_during_a_report_is_one_like_others(scripted):
    with scripted(timeout_seconds=0.3) as pool, pytest.raises(JobTimedOutError, match=r"minutes=0\.005"):
        run(pool, {"progress": {}}, "sleep", report=lambda progress: time.sleep(0.6))


def test_a_time_limit_beyond_what_a_timer_takes_is_none(scripted):
    with scripted(timeout_seconds=1e300) as pool:
        assert run(pool, {"result": {}}) == {}


def test_an_answer_that_nobody_waited_for_is_not_the_next_jobs(scripted):
    def cancelled(progress):
        raise KeyboardInterrupt

    with scripted() as pool:
        with pytest.raises(KeyboardInterrupt):
            run(pool, {"progress": {}}, {"result": {"job": "first"}}, report=cancelled)
        assert run(pool, {"result": {"job": "second"}}) == {"job": "second"}


def test_a_closed_pool_leaves_no_process(scripted):
    with scripted() as pool:
        process = only_worker(pool).process
        assert process.poll() is None
    assert process.returncode == -signal.SIGKILL


def test_a_preload_that_fails_is_no_jobs_answer(tmp_path):
    with (
        WorkerPool(1, threads=1, log_folder=tmp_path, preload="modules.no_such_thing") as pool,
        pytest.raises(WorkerError, match=r"'os\.getcwd' is not a job"),
    ):
        pool.call("os.getcwd", {})


def test_a_real_worker_killed_in_the_middle_of_its_job_is_replaced(pool, caplog):
    """It is stopped before the job reaches it, and killed while it owes the answer."""
    victim = only_worker(pool)
    os.kill(victim.process.pid, signal.SIGSTOP)
    threading.Timer(0.3, lambda: os.kill(victim.process.pid, signal.SIGKILL)).start()
    assert pool.call(NUMERICS, {"precision": "float32", **ON_CPU})["precision"] == "float32"
    assert only_worker(pool) is not victim
    assert "was killed (signal 9)" in caplog.text


PARENT = """
import sys
from pathlib import Path
from modules.workers.pool import WorkerPool

pool = WorkerPool(1, threads=1, log_folder=Path(sys.argv[1]), preload="modules.training.trial")
(worker,) = pool._all
print(worker.process.pid, flush=True)
sys.stdin.readline()
"""


def is_alive(pid: int) -> bool:
    """A process that is there and has not ended (one that nobody waits for may stay as a zombie)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_worker_ends_when_its_parent_is_killed(tmp_path):
    """In the middle of its work, which is importing what it needs."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        worker = int(parent.stdout.readline())
        assert is_alive(worker)
        parent.kill()
        parent.wait()
    for _ in range(100):
        if not is_alive(worker):
            break
        time.sleep(0.1)
    assert not is_alive(worker)


def test_a_pool_closed_from_another_thread_ends_its_jobs_with_a_reason_of_their_own(tmp_path, caplog):
    """Nobody may take the workers that were ended for ones that ran out of memory, or wait for them forever."""
    errors: list[BaseException] = []
    pool = WorkerPool(1, threads=1, log_folder=tmp_path, preload="modules.training.numerics")

    def ask() -> None:
        try:
            pool.call(NUMERICS, {"precision": "float32", **ON_CPU})
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    os.kill(only_worker(pool).process.pid, signal.SIGSTOP)
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    pool.close()
    for thread in threads:
        thread.join(10)
    assert [type(error) for error in errors] == [PoolClosedError] * 3
    assert caplog.messages == []
