"""Jobs on a cluster, with the cluster's part played by a thread or by this process."""

import json
from concurrent.futures import Future
from typing import Any

import pytest

from flows import cluster
from flows.cluster import ClusterWorkers, check_installed, do_job
from modules.config import resolve
from modules.errors import ConfigError, DataError, StudyError, WorkerError
from modules.workers.pool import PoolClosedError, WorkerDiedError

NUMERICS = {"torch": "2", "cpu_capability": "AVX2", "threads": 1, "precision": "float32", "channels_last": True}
NUMERICS |= {"device": "cpu", "devices": 1, "strategy": "auto"}


@pytest.fixture
def submitted(monkeypatch):
    """What was submitted, each with the future that is to be its answer."""
    answers: list[Any] = []
    seen: list[dict[str, Any]] = []

    def submit(name, function, **parameters):
        assert function is do_job
        seen.append({"name": name, **parameters})
        future: Future[str] = Future()
        answer = answers.pop(0)
        if isinstance(answer, BaseException):
            future.set_exception(answer)
        elif answer is not None:
            future.set_result(json.dumps(answer))
        return future

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


def test_a_job_that_the_cluster_lost_is_tried_once_more(submitted, workers, caplog):
    answers, _ = submitted
    answers += [RuntimeError("the node went away"), {"loss": 0.5}]
    assert workers.call("modules.job", {}) == {"loss": 0.5}
    assert "the node went away; the job is tried again" in caplog.text
    answers += [RuntimeError("away"), RuntimeError("again")]
    with pytest.raises(WorkerDiedError, match=r"lost the job modules.job: RuntimeError: again"):
        workers.call("modules.job", {})


@pytest.mark.parametrize("error", [DataError("no images"), WorkerError("it failed")])
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
