"""A worker that is killed, as when memory runs out, is followed by smaller pieces of the same batches."""

import pytest
from tiny_study import NUMERICS, PLAIN, make_data, tiny_recipe

from modules.search import laboratory as laboratory_module
from modules.search.laboratory import Laboratory
from modules.training.spec import Slice
from modules.workers.pool import WorkerKilledError, WorkerPool


class CrampedPool(WorkerPool):
    """Kills the worker, really, once a training with more than `most` images at once has begun."""

    most = 4

    def call(self, job, arguments, report=lambda progress: None):
        at_once = arguments["spec"]["most_at_once"] or arguments["spec"]["recipe"]["batch_size"]

        def kill(progress):
            if at_once > self.most:
                for worker in self._all:
                    worker.process.kill()

        return super().call(job, arguments, kill)


@pytest.fixture
def pool(tmp_path):
    with CrampedPool(1, threads=1, log_folder=tmp_path / "logs") as pool:
        yield pool


def test_half_as_many_at_once_until_they_fit(tmp_path, pool):
    data = make_data(tmp_path)
    laboratory = Laboratory(tmp_path, pool, NUMERICS, data, **PLAIN)
    pool.most = 8
    spec = laboratory.spec(tiny_recipe(), Slice(samples=3200, evaluate_every=80), seed=0)
    assert laboratory.found(spec) is None
    result = laboratory.train(spec, lambda progress: None)
    assert result.samples == 3200
    assert result.key == spec.updated(most_at_once=8).key != spec.key
    assert laboratory.found(spec) == result


def test_there_is_an_end_to_it(tmp_path, pool, monkeypatch):
    monkeypatch.setattr(laboratory_module, "_FEWEST_AT_ONCE", 16)  # as many as there are in a batch
    laboratory = Laboratory(tmp_path, pool, NUMERICS, make_data(tmp_path), **PLAIN)
    spec = laboratory.spec(tiny_recipe(), Slice(samples=3200, evaluate_every=80), seed=0)
    with pytest.raises(WorkerKilledError, match="memory runs out"):
        laboratory.train(spec, lambda progress: None)
