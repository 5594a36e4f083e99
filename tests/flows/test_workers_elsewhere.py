"""What is said of workers that a cluster at an address has: nothing that is true of this machine alone."""

from types import SimpleNamespace
from typing import Any

import pytest

from flows.cluster import ClusterWorkers
from flows.tuning import _say_idle_workers
from modules.config import resolve
from modules.errors import ConfigError

AT = "runner.address=tcp://a:1"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["runner=dask", "runner.workers=1024", AT], "runner.workers=1024 is of no use with runner.address=tcp://a:1"),
        (["runner=dask", "runner.workers=2048", AT], "runner.workers=2048 is of no use with runner.address=tcp://a:1"),
        (["runner.workers=1024", AT], "runner.address=tcp://a:1 is of no use to runner=serial; allowed is runner=dask"),
        (["runner=processes", "runner.workers=2048", AT], "runner.address=tcp://a:1 is of no use to runner=processes"),
        (["runner=dask", "runner.workers=2048"], "runner.workers must be a whole number from 1 to 1024 or null"),
        (["runner.workers=1024"], "runner.workers=1024 contradicts runner=serial"),
    ],
)
def test_with_an_address_it_is_said_first_whose_workers_they_are(overrides, said):
    with pytest.raises(ConfigError) as caught:
        resolve(overrides)
    assert str(caught.value).startswith(said)


def said_of(tmp_path: Any, size: int | None, address: str | None) -> list[str]:
    said: list[str] = []
    study: Any = SimpleNamespace(
        pool=ClusterWorkers(size, 1, tmp_path, 60.0),
        settings=SimpleNamespace(runner=SimpleNamespace(address=address), search=SimpleNamespace(tries_at_once=1)),
        progress=SimpleNamespace(say=lambda sentence, style: said.append(sentence)),
    )
    _say_idle_workers(study)
    return said


def test_nobody_counts_the_workers_of_a_cluster_that_is_there_already(tmp_path):
    there = "the cluster at tcp://a:1 may have many workers: search.tries_at_once=N uses N of them"
    assert said_of(tmp_path, None, "tcp://a:1") == [f"one try at a time, though {there}"]
    there = "there are 4 workers: search.tries_at_once=4 uses all"
    assert said_of(tmp_path, 4, None) == [f"one try at a time, though {there}"]
    assert said_of(tmp_path, 1, None) == []
