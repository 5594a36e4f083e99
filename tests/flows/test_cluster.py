"""Jobs on a cluster, with the cluster's part played by a thread or by this process."""

import errno
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from flows import cluster
from flows.cluster import ClusterWorkers, check_installed, do_job
from modules.config import resolve
from modules.errors import ConfigError, DataError, StudyError, WorkerError
from modules.workers.pool import JobTimedOutError, PoolClosedError, WorkerDiedError, WorkerKilledError

NUMERICS = {"torch": "2", "cpu_capability": "AVX2", "threads": 1, "precision": "float32", "channels_last": True}
NUMERICS |= {"device": "cpu", "devices": 1, "strategy": "auto"}


class GoneError(Exception):
    """What a future itself raises where its machine is lost."""


class Answer:
    """A future as the clusters have it: the first wait is too short, and what a job raised is returned if so asked."""

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome
        self.is_done = False

    def result(self, timeout: float = 0.0, raise_on_failure: bool = True) -> Any:
        if self.outcome is None or not self.is_done:
            self.is_done = True
            time.sleep(timeout)
            raise TimeoutError
        if isinstance(self.outcome, GoneError):
            raise self.outcome
        if isinstance(self.outcome, BaseException):
            if raise_on_failure:
                raise self.outcome
            return self.outcome
        return json.dumps(self.outcome)


@pytest.fixture
def submitted(monkeypatch):
    """What was submitted, each with the future that is to be its answer."""
    answers: list[Any] = []
    seen: list[dict[str, Any]] = []

    def submit(name, function, **parameters):
        assert function is do_job
        seen.append({"name": name, **parameters})
        return Answer(answers.pop(0))

    monkeypatch.setattr(cluster, "submit", submit)
    monkeypatch.setattr(cluster, "_POLL_SECONDS", 0.01)
    return answers, seen


@pytest.fixture
def workers(tmp_path):
    return ClusterWorkers(2, threads=3, log_folder=tmp_path, timeout_seconds=60.0)


def test_a_job_travels_as_json_and_its_result_comes_back(submitted, workers):
    answers, seen = submitted
    answers.append({"loss": 0.5})
    assert workers.call("modules.training.trial.train_trial", {"seed": 1}) == {"loss": 0.5}
    assert seen[0]["name"] == "train_trial"
    assert json.loads(seen[0]["arguments"]) == {"seed": 1}
    assert seen[0]["threads"] == 3


@pytest.mark.parametrize("kind", [GoneError, RuntimeError])
def test_a_job_that_the_cluster_lost_is_tried_once_more(submitted, workers, caplog, kind):
    answers, _ = submitted
    answers += [kind("the node went away"), {"loss": 0.5}]
    assert workers.call("modules.job", {}) == {"loss": 0.5}
    assert "the node went away; the job is tried again" in caplog.text
    answers += [kind("away"), kind("again")]
    with pytest.raises(WorkerDiedError, match=rf"lost the job modules.job: {kind.__name__}: again"):
        workers.call("modules.job", {})


def test_a_job_that_fails_by_a_time_out_of_its_own_is_not_waited_for(submitted, workers):
    answers, seen = submitted
    answers += [TimeoutError(errno.ETIMEDOUT, "Connection timed out")] * 2
    with pytest.raises(WorkerDiedError, match=r"lost the job modules.job: TimeoutError: .*Connection timed out"):
        workers.call("modules.job", {})
    assert len(seen) == 2


@pytest.mark.parametrize(
    "error",
    [
        DataError("no images"),
        WorkerError("it failed"),
        JobTimedOutError("it took too long"),
        WorkerKilledError("its process was killed twice"),
        WorkerDiedError("its process ended twice"),
    ],
)
def test_what_a_job_raises_comes_out_and_is_not_tried_again(submitted, workers, error):
    answers, seen = submitted
    answers.append(error)
    with pytest.raises(type(error), match=str(error)):
        workers.call("modules.job", {})
    assert len(seen) == 1


def test_nobody_waits_for_a_job_of_workers_that_were_closed(submitted, workers):
    answers, _ = submitted
    answers.append(None)
    workers.close()
    with pytest.raises(PoolClosedError):
        workers.call("modules.job", {})


class Pool:
    """A machine of the cluster."""

    def __init__(self, numerics: dict[str, Any]) -> None:
        self.numerics = numerics

    def call(self, job: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return self.numerics if job.endswith("describe_numerics") else {"job": job}


def test_a_machine_of_another_kind_trains_nothing(monkeypatch):
    arguments = json.dumps({"spec": {"numerics": NUMERICS}})
    monkeypatch.setattr(cluster, "_own_pool", lambda *ignored: Pool(NUMERICS))
    assert json.loads(do_job("modules.job", arguments, 1, "logs", 1.0)) == {"job": "modules.job"}
    other = Pool({**NUMERICS, "cpu_capability": "AVX512"})
    monkeypatch.setattr(cluster, "_own_pool", lambda *ignored: other)
    with pytest.raises(StudyError, match=r"computes with cpu_capability=AVX512, the study with cpu_capability=AVX2"):
        do_job("modules.job", arguments, 1, "logs", 1.0)
    assert json.loads(do_job("modules.job", "{}", 1, "logs", 1.0)) == {"job": "modules.job"}


def test_the_threads_of_a_machine_that_has_several_share_its_one_process(monkeypatch, tmp_path):
    opened = []

    class SlowPool(Pool):
        def __init__(self, *_arguments: Any, **_named: Any) -> None:
            super().__init__(NUMERICS)
            time.sleep(0.05)
            opened.append(self)

        def close(self) -> None:
            pass

    monkeypatch.setattr(cluster, "WorkerPool", SlowPool)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: do_job("modules.job", "{}", 1, str(tmp_path), 1.0), range(4)))
    cluster._own_pool.cache_clear()
    assert len(opened) == 1


def test_a_library_that_is_not_there_is_said_with_how_to_get_it(monkeypatch):
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"runner=dask needs prefect-dask.*pip install -e .*\[dask\]'"):
        check_installed("dask")


def test_a_cluster_needs_prefect():
    with pytest.raises(ConfigError, match="runner=dask contradicts orchestrator=inline"):
        resolve(["runner=dask", "orchestrator=inline"])


def test_an_address_is_for_clusters():
    with pytest.raises(ConfigError, match=r"runner.address=tcp://a:1 is of no use to runner=processes"):
        resolve(["runner=processes", "runner.address=tcp://a:1"])
    assert resolve(["runner=dask", "runner.address=tcp://a:1"]).runner.address == "tcp://a:1"


def test_a_cluster_that_is_there_already_has_the_workers_that_it_has():
    with pytest.raises(ConfigError, match=r"runner.workers=4 is of no use with runner.address=tcp://a:1"):
        resolve(["runner=dask", "runner.address=tcp://a:1", "runner.workers=4"])
